"""The command sees the inherited environment with the file's variables set, and nothing else."""

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.launcher import sienv

SHOW = ("--", "/bin/cat", "/proc/self/environ")


def environment(start, env_file, inherited, entries, **options):
    """Return the variables that a command sees."""
    result = start(env_file(sienv.encode(entries)), *SHOW, environment=inherited, **options)

    assert (result.status, result.stderr) == (0, b"")
    return result.stdout.split(b"\0")[:-1]


def test_planned_variables_replace_in_place_and_new_ones_follow(start, env_file):
    """An inherited variable is replaced where it stands; new ones come last, in file order."""
    inherited = [b"HOME=/", b"B=old", b"PATH=/bin", b"A=old"]

    seen = environment(start, env_file, inherited, [b"Z=1", b"A=new", b"Y=2", b"B=", b"C=3"])

    assert seen == [b"HOME=/", b"B=", b"PATH=/bin", b"A=new", b"Z=1", b"Y=2", b"C=3"]


def test_names_are_compared_whole_and_case_matters(start, env_file):
    """A name that begins like another, or differs in case, is another name."""
    inherited = [b"KEY_ID=1", b"KEY=2", b"key=3", b"KE=4", b"KEYS=5"]

    seen = environment(start, env_file, inherited, [b"KEY=new", b"K=new", b"KEY_=new"])

    assert seen == [b"KEY_ID=1", b"KEY=new", b"key=3", b"KE=4", b"KEYS=5", b"K=new", b"KEY_=new"]


def test_repeated_inherited_name_keeps_no_old_value(start, env_file):
    """Of a planned name that occurs twice one is left; another's repetition is not our affair."""
    inherited = [b"A=1", b"B=1", b"A=2", b"B=2"]

    seen = environment(start, env_file, inherited, [b"A=new"])

    assert seen == [b"A=new", b"B=1", b"B=2"]


def test_odd_inherited_entries_stay_as_they_are(start, env_file):
    """Entries without a name or a `=`, empty ones and odd bytes pass through untouched."""
    inherited = [b"", b"A", b"=A", b"=A=1", b"\xff\n=\xfe", b"a b=c", b"==", b"A1", b"Z"]

    seen = environment(start, env_file, inherited, [b"A=new"])

    assert seen == [*inherited, b"A=new"]


def test_empty_environment_and_empty_file_stay_empty(start, env_file):
    """Nothing is invented."""
    assert environment(start, env_file, [], []) == []


texts = st.binary(max_size=4).map(lambda text: text.replace(b"\0", b""))
names = st.sampled_from([b"A", b"AB", b"B", b"_", b"a", b"B1", b"ABC"])
variables = st.builds(lambda name, value: name + b"=" + value, names, texts)


@given(
    inherited=st.lists(st.one_of(variables, names, texts), max_size=8),
    entries=st.lists(variables, max_size=5, unique_by=lambda entry: entry.split(b"=")[0]),
)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_every_merge_follows_the_rules(start, program, env_file, inherited, entries):
    """Whatever is inherited and planned, the result is what the reference merge says."""
    seen = environment(start, env_file, inherited, entries, program=program)

    assert seen == sienv.merge(inherited, entries)
