"""A machine and a plan that nobody measures on."""

from bench.machine import Machine
from bench.plan import Plan

MACHINE = Machine(
    cores=2,
    memory_gb=4,
    processor="a processor",
    system="Linux",
    versions={},
    commit="abc",
    filesystem="ext4",
    fsync_ms=1,
    load_before=0,
)
PLAN = Plan(
    seconds=1,
    runs=1,
    settle_seconds=2,
    latency_seconds=1,
    samples=1,
    starts=1,
    rows=20_000,
    soak_checkouts=1,
    soak_seconds=10,
)
