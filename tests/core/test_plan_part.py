"""A part of a plan asks for nothing that its variables and files do not need."""

from injector.core import plan_part
from injector.core.plan import (
    ContainerPlan,
    EnvItem,
    FileItem,
    Pick,
    Plan,
    PlanStore,
    PlanValue,
    Read,
    Use,
)


def value(key, *parts):
    """Return a value of the parts."""
    return PlanValue(parts=parts, key=key, origin="ServiceSecrets shop/x")


READS = tuple(Read(store=0, path=path) for path in ("a", "b", "c"))
WHOLE = Plan(
    namespace="shop",
    service_account="x",
    stores=(PlanStore(name="vault", document="{}"),),
    reads=READS,
    values=(
        value("A", Pick(read=0)),
        value("B", Pick(read=1)),
        value("C", "x", Pick(read=2, field="f")),
        value("D", Use(value=2), Use(value=0)),
    ),
    containers=(
        ContainerPlan(
            name="app",
            env=(
                EnvItem(name="A", value=0),
                EnvItem(name="B", value=1),
                EnvItem(name="D", value=3),
            ),
            files=(FileItem(path="b.key", value=1),),
        ),
    ),
)


def test_a_value_brings_those_it_uses_and_their_reads():
    """Indices are made new; order stays; the rest is gone."""
    part = plan_part.only(WHOLE, ["D"])

    assert part.reads == (READS[0], READS[2])
    assert part.values == (
        value("A", Pick(read=0)),
        value("C", "x", Pick(read=1, field="f")),
        value("D", Use(value=1), Use(value=0)),
    )
    assert part.containers == (ContainerPlan(name="app", env=(EnvItem(name="D", value=2),)),)


def test_files_are_named_by_their_path():
    """A file and a variable may share a value."""
    part = plan_part.only(WHOLE, ["b.key", "B"])

    assert part.reads == (READS[1],)
    assert part.containers[0].files == (FileItem(path="b.key", value=0),)
    assert part.containers[0].env == (EnvItem(name="B", value=0),)


def test_all_names_give_what_is_needed_of_the_whole():
    """Names are those of variables and files."""
    assert plan_part.names(WHOLE) == ["A", "B", "D", "b.key"]
    assert plan_part.only(WHOLE, plan_part.names(WHOLE)) == WHOLE
