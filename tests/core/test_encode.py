"""How values are written for the launcher and for the kubelet, and what is refused instead."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from injector.core import encode, errors, plan_codec
from injector.core.encode import File, Folder, Layout
from injector.core.errors import DeliveryFailed
from injector.core.plan import ContainerPlan, EnvItem, FileItem, Plan, PlanValue
from injector.core.reference import NAME
from injector.core.render import Rendered

ANY_NAMES = st.from_regex(NAME, fullmatch=True)
NAMES = st.from_regex(r"\A[A-Za-z_][A-Za-z0-9_]{0,20}\Z")
VALUES = st.one_of(
    st.binary(max_size=200),
    st.text(alphabet="ab'\"\\\r\n\0#= $()é\u2028", max_size=20).map(str.encode),
)


def given_to(name, env=(), files=()):
    """Return what one container gets."""
    return Rendered(name=name, env=env, files=files)


def plan_of(*rendered, mode="launcher", group=None):
    """Return a plan that asks for what is rendered, each key from an object of its own."""
    values, containers = [], []
    for container in rendered:
        env, files = [], []
        for name, _ in container.env:
            env.append(EnvItem(name=name, value=len(values)))
            values.append(PlanValue(parts=("x",), key=name, origin=f"origin of {name}"))
        for path, _, file_mode in container.files:
            files.append(FileItem(path=path, value=len(values), mode=file_mode))
            values.append(PlanValue(parts=("x",), key=path, origin=f"origin of {path}"))
        planned = ContainerPlan(
            name=container.name, env_mode=mode, env=tuple(env), files=tuple(files)
        )
        containers.append(planned)
    return Plan(
        namespace="shop",
        service_account="api",
        values=tuple(values),
        containers=tuple(containers),
        group=group,
    )


def lay_out(*rendered, launcher=b"ELF", **options):
    """Lay out what is rendered under the plan that asks for it."""
    return encode.lay_out(plan_of(*rendered, **options), rendered, launcher=launcher)


def read_launcher_file(data):
    """Read an env file as the launcher's documentation describes it."""
    header, _, body = data.partition(b"\n")
    match = re.fullmatch(rb"SIENV1 (0|[1-9][0-9]*) (0|[1-9][0-9]*)", header)
    assert match
    assert len(body) == int(match[2])
    entries = body.split(b"\0")
    assert entries.pop() == b""
    assert len(entries) == int(match[1])
    return [tuple(entry.split(b"=", 1)) for entry in entries]


def read_kubelet_file(data, wanted):
    """Read one key as the kubelet does: scan lines, single quotes, no escapes, empty is missing.

    Lines end at LF and lose one CR before it; a line may take 65,535 bytes.
    """
    lines = [line.removesuffix(b"\r") for line in data.split(b"\n")]
    assert all(len(line) <= 65_535 for line in lines)
    while lines:
        line = lines.pop(0).lstrip(b" \t")
        if not line or line.startswith(b"#"):
            continue
        key, equals, rest = line.partition(b"=")
        assert equals
        assert rest.startswith(b"'")
        content = rest[1:]
        while b"'" not in content:
            content += b"\n" + lines.pop(0)
        value, _, after = content.partition(b"'")
        assert re.fullmatch(rb"[ \t]*(#.*)?", after, re.DOTALL)
        if key == wanted and value:
            return value
    return None


class TestLauncherFile:
    """The env file of the launcher."""

    @given(st.dictionaries(NAMES, VALUES.filter(lambda value: b"\0" not in value), max_size=6))
    def test_every_accepted_value_is_read_back_as_it_was(self, env):
        """What can be carried arrives byte for byte, in order."""
        pairs = tuple(env.items())
        assert not any(encode.launcher_refusal(name, value) for name, value in pairs)

        read = read_launcher_file(encode.launcher_env(pairs))

        assert read == [(name.encode(), value) for name, value in pairs]

    def test_the_kernel_limit_is_the_last_size_accepted(self):
        """A variable of 131,072 bytes with its name and NUL passes execve, one more does not."""
        most = encode.MAX_LAUNCHER_ENTRY - len("A=\0")

        assert encode.launcher_refusal("A", b"x" * most) == ""
        assert encode.launcher_refusal("A", b"x" * (most + 1)) == (
            "the variable takes 131073 bytes, the kernel passes 131072"
        )

    def test_a_nul_is_refused(self):
        """No environment can carry it, so it is not cut off there."""
        assert "NUL" in encode.launcher_refusal("A", b"a\0b")


class TestNativeFile:
    """The env files that the kubelet reads."""

    @given(ANY_NAMES, VALUES)
    def test_an_accepted_value_is_what_the_kubelet_reads_back(self, name, value):
        """What is accepted survives the kubelet; what the kubelet would change is refused."""
        path, key = plan_codec.native_file(7, name)

        assert plan_codec.is_file_path(path) or path == "+7"
        if not encode.native_refusal(value):
            assert read_kubelet_file(encode.native_env(key, value), key.encode()) == value

    @pytest.mark.parametrize(
        ("name", "path", "key"),
        [
            ("DB_PASSWORD", "DB_PASSWORD", "DB_PASSWORD"),
            ("spring.datasource.password", "spring.datasource.password", "VALUE"),
            ("xpack-key", "xpack-key", "VALUE"),
            ("1", "1", "VALUE"),
            ("..data", "+3", "VALUE"),
            (".", "+3", "VALUE"),
            ("a/b", "+3", "VALUE"),
            (" #x ", "+3", "VALUE"),
            ("+3", "+3", "VALUE"),
        ],
    )
    def test_a_name_that_is_no_file_or_no_word_has_one_made_for_it(self, name, path, key):
        """The kubelet gives the variable of the file any name; its own keys are words."""
        assert plan_codec.native_file(3, name) == (path, key)

    @pytest.mark.parametrize(
        "value",
        [b"a\nb", b'"\\$`#=$(X)#{y}', b"lone\rreturn", b"end\r", "é😀\u2028\ufeff".encode()],
    )
    def test_what_the_kubelet_keeps_is_not_refused(self, value):
        """Newlines, quotes, dollars and all of Unicode pass."""
        assert encode.native_refusal(value) == ""
        assert read_kubelet_file(encode.native_env("A", value), b"A") == value

    @pytest.mark.parametrize(
        ("value", "why"),
        [
            (b"", "empty"),
            (b"it's", "single quote"),
            (b"a\r\nb", "CR LF"),
            (b"a\0b", "NUL"),
            (b"\xff", "not UTF-8"),
            (b"x" * 32769, "takes 32769 bytes"),
            (b"x'\nLD_PRELOAD='/evil.so", "single quote"),
        ],
    )
    def test_what_the_kubelet_would_lose_is_refused_with_the_reason(self, value, why):
        """Nothing is edited to fit."""
        assert why in encode.native_refusal(value)

    def test_the_largest_value_of_one_line_is_accepted(self):
        """32 KiB is the documented limit, and a line of it is short enough for the parser."""
        value = b"x" * encode.MAX_NATIVE_VALUE

        assert encode.native_refusal(value) == ""
        assert read_kubelet_file(encode.native_env("A", value), b"A") == value


class TestLayout:
    """Which file lies where, and what is refused before any is written."""

    def test_launcher_and_files_lie_in_folders_of_their_container(self):
        """The env file, the binary and the files have their places and modes."""
        api = given_to(
            "api", env=(("A", b"1"),), files=(("tls/key", b"k", 0o440), ("x", b"", None))
        )

        layout = lay_out(api, given_to("quiet"))

        launch = (
            File(path="launcher", mode=0o555, data=b"ELF"),
            File(path="env", mode=0o400, data=b"SIENV1 1 4\nA=1\0"),
        )
        files = (
            File(path="tls/key", mode=0o440, data=b"k"),
            File(path="x", mode=0o400, data=b""),
        )
        assert layout == Layout(
            volume=(
                Folder(place=("api", "launch"), files=launch),
                Folder(place=("api", "files"), files=files),
            ),
            env=(),
            folder_mode=0o700,
            group=None,
        )

    def test_native_variables_have_a_file_each_and_no_launcher(self):
        """The kubelet's files lie in the volume that no container mounts."""
        layout = lay_out(
            given_to("api", env=(("A", b"1"), ("B", b"2"), ("c.d", b"3"), ("e/f", b"4"))),
            mode="native",
            group=65532,
        )

        files = (
            File(path="A", mode=0o440, data=b"A='1'\n"),
            File(path="B", mode=0o440, data=b"B='2'\n"),
            File(path="c.d", mode=0o440, data=b"VALUE='3'\n"),
            File(path="+3", mode=0o440, data=b"VALUE='4'\n"),
        )
        assert layout == Layout(
            volume=(),
            env=(Folder(place=("api",), files=files),),
            folder_mode=0o750,
            group=65532,
        )

    def test_an_optional_variable_without_a_value_is_left_out(self):
        """The launcher's file has no entry; the kubelet's is blank: it fails on a missing one."""
        asked = plan_of(given_to("api", env=(("A", b"1"), ("B", b""))))
        native = plan_of(given_to("api", env=(("A", b"1"), ("B", b""))), mode="native")
        rendered = [given_to("api", env=(("A", b"1"),))]

        launch = encode.lay_out(asked, rendered, launcher=b"ELF").volume[0].files
        files = encode.lay_out(native, rendered, launcher=b"").env[0].files

        assert launch[1].data == b"SIENV1 1 4\nA=1\0"
        assert [file.data for file in files] == [b"A='1'\n", b""]
        assert read_kubelet_file(files[1].data, b"B") is None

    def test_every_value_that_cannot_be_carried_is_reported_with_its_origin(self):
        """One run names them all, and none of their bytes."""
        one = given_to("api", env=(("A", b"it's secret"), ("B", b"fine"), ("C", b"")))
        two = given_to("web", env=(("D", b"\xffsecret"),))

        with pytest.raises(DeliveryFailed) as caught:
            lay_out(one, two, mode="native")

        assert [problem.line() for problem in caught.value.problems] == [
            (
                "SI-602 for A in api (origin of A): the value holds a single quote,"
                " for which an env file has no spelling"
            ),
            (
                "SI-602 for C in api (origin of C): the value is empty,"
                " which the kubelet reads as missing"
            ),
            (
                "SI-602 for D in web (origin of D): the value is not UTF-8,"
                " which the container runtime's interface wants"
            ),
        ]
        assert caught.value.exit_status == errors.UNDELIVERABLE

    def test_a_file_that_is_mounted_by_itself_lies_apart_from_the_files_folder(self):
        """Who mounts the files folder does not see it there, and a mount finds it by its path."""
        api = given_to("api", files=(("/etc/app/key", b"k", 0o400), ("key", b"other", None)))

        assert [(folder.place, folder.files) for folder in lay_out(api).volume] == [
            (("api", "files"), (encode.File(path="key", mode=0o400, data=b"other"),)),
            (("api", "placed"), (encode.File(path="etc/app/key", mode=0o400, data=b"k"),)),
        ]

    def test_a_file_that_is_also_a_folder_is_refused(self):
        """`a` and `a/b` cannot both exist."""
        api = given_to("api", files=(("a", b"", None), ("a/b", b"", None)))

        with pytest.raises(DeliveryFailed) as caught:
            lay_out(api)

        assert [problem.code for problem in caught.value.problems] == [errors.NAME]

    @pytest.mark.parametrize(
        "path",
        ["../x", "a/../../b", "//etc", "/", "/a/", "..data", "a//b", ".", "", "a\0b", "x" * 254],
    )
    def test_a_path_that_could_lead_elsewhere_is_refused(self, path):
        """Whoever made the plan: paths are checked where they are used."""
        with pytest.raises(DeliveryFailed) as caught:
            lay_out(given_to("api", files=((path, b"", None),)))

        assert caught.value.problems[0].code == errors.NAME

    def test_a_doubled_name_is_refused(self):
        """Two values for one name would make the winner a matter of luck."""
        with pytest.raises(DeliveryFailed) as caught:
            lay_out(given_to("api", env=(("A", b"1"), ("A", b"2"))))

        assert [problem.code for problem in caught.value.problems] == [errors.DUPLICATE]

    def test_a_layout_prints_no_value(self):
        """Bytes stay out of any repr."""
        layout = lay_out(given_to("api", env=(("A", b"canary"),), files=(("f", b"canary", None),)))

        assert "canary" not in repr(layout)
