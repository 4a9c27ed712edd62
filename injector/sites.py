"""A store in one place or several: asked where it is there, left alone where it is not.

A fallback is asked only for what the sites before it could not answer because they are unavailable
(`errors.DOWN`): what a store refuses or does not have is final. The site that answered last is the
first to be asked from then on, as long as the fetch lasts.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from injector import providers
from injector.core import errors
from injector.core.plan import Read
from injector.core.record import replace
from injector.core.secret import Failure, LoginFailed, Secret, failed_with
from injector.core.stores import Store
from injector.providers import Access, Session

Open = Callable[[Store, Access], Session]


class Sites:
    """The sites of one store, each entered when it is first needed; used by one thread.

    `logins`, `open_s` and `read_s` count what was done; `answered` names the sites that answered,
    `answered_by` the site and the identity there by read.
    """

    def __init__(
        self, store: Store, access: Access, enter: Open, clock: Callable[[], float]
    ) -> None:
        """Enter nothing yet; `enter` opens a session with a store that has one site."""
        self._access, self._open, self._clock = access, enter, clock
        self._stores = {site.name: replace(store, spec=site.spec) for site in store.sites()}
        self._current = self._home = next(iter(self._stores))
        self._sessions: dict[str, Session] = {}
        self.logins = 0
        self.open_s = self.read_s = 0.0
        self.answered: list[str] = []
        self.answered_by: dict[Read, tuple[str, str]] = {}

    @property
    def identity(self) -> str:
        """Who we are to the site that answered last; empty when it is not entered."""
        session = self._sessions.get(self._current)
        return session.identity if session is not None else ""

    def read(self, reads: Sequence[Read]) -> Mapping[Read, Secret | Failure]:
        """Return an answer for every read; a site is asked once, and only for what is still open.

        Where no site is there, the failure is that of the first one asked, and names the others.
        """
        found: dict[Read, Secret | Failure] = {}
        tried: list[str] = []
        left = list(reads)
        for name in self._in_order():
            tried.append(name)
            answers = self._ask(name, left)
            down = [read for read in left if failed_with(answers[read], errors.DOWN)]
            for read in left:
                if read in down:
                    found.setdefault(read, answers[read])
                else:
                    found[read] = self._told(name, answers[read])
                    self.answered_by[read] = (name, self._identity_at(name, answers[read]))
            if len(down) < len(left):
                self._note(name)
            left = down
            if not left or self._access.deadline.left_s() <= 0:
                break
        if len(tried) > 1:
            others = ", ".join(tried[1:])
            found.update({read: _all_down(found[read], others) for read in left})
        return found

    @property
    def current(self) -> str:
        """The site that is asked first now; empty for a store of files."""
        return self._current

    def absence(self) -> Failure | None:
        """Return why no site is there, in the words of the first, or None when one is."""
        first: Failure | None = None
        for name in self._in_order():
            failure = providers.absence(self._stores[name], self._access)
            if failure is None:
                return None
            first = first or failure
        return first

    def close(self) -> None:
        """Leave all sites; which one answered last is remembered."""
        sessions, self._sessions = self._sessions, {}
        for session in sessions.values():
            session.close()

    def _in_order(self) -> list[str]:
        names = list(self._stores)
        at = names.index(self._current)
        return [*names[at:], *names[:at]]

    def _ask(self, name: str, reads: Sequence[Read]) -> Mapping[Read, Secret | Failure]:
        """Ask one site for all of them, entering it first if we are not in."""
        began_s = self._clock()
        if name not in self._sessions:
            try:
                self._sessions[name] = self._open(self._stores[name], self._access)
            except LoginFailed as failed:
                return dict.fromkeys(reads, failed.failure)
            except ImportError:
                return dict.fromkeys(reads, providers.not_installed(self._stores[name]))
            finally:
                self.logins += 1
                self.open_s += self._clock() - began_s
            began_s = self._clock()
        try:
            return self._sessions[name].read(reads, self._access.deadline)
        finally:
            self.read_s += self._clock() - began_s

    def _note(self, name: str) -> None:
        self._current = name
        if name not in self.answered:
            self.answered.append(name)

    def _identity_at(self, name: str, answer: Secret | Failure) -> str:
        session = self._sessions.get(name)
        if session is not None:
            return session.identity
        return answer.identity if isinstance(answer, Failure) else ""

    def _told(self, name: str, answer: Secret | Failure) -> Secret | Failure:
        """Return a fallback's failure with words about where it comes from."""
        if isinstance(answer, Secret) or name == self._home:
            return answer
        where = f"in {name} ({self._home} is unavailable)"
        return replace(answer, identity=f"{answer.identity} {where}".lstrip())


def _all_down(answer: Secret | Failure, others: str) -> Secret | Failure:
    if isinstance(answer, Secret):
        return answer
    return replace(answer, what=f"{answer.what}; unavailable too: {others}")
