"""When a node of a Citus cluster that was lost is tried again."""

from threading import Event

from paidonce.database.citus.lost_nodes import CHECK_SECONDS, Nodes
from paidonce.errors import DatabaseUnavailable
from tests.support.service_process import wait_until


class LostNode:
    """A node that was lost, and a clock. ``find`` returns what is lost when ``answer`` is set."""

    def __init__(self) -> None:
        self.now = 0.0
        self.nodes = Nodes(monotonic=lambda: self.now)
        self.nodes.note(frozenset({"worker:1"}))
        self.lost: frozenset[str] = frozenset()
        self.answer = Event()
        self.asked = 0

    def find(self) -> frozenset[str]:
        self.asked += 1
        assert self.answer.wait(60)
        return self.lost

    def try_again(self) -> None:
        self.nodes.try_again(self.find)

    def is_back(self) -> bool:
        self.try_again()
        return not self.nodes.lost


def test_a_lost_node_is_tried_again_after_a_while_and_its_return_is_noticed() -> None:
    node = LostNode()
    node.answer.set()
    node.try_again()
    assert (node.asked, node.nodes.lost) == (0, frozenset({"worker:1"}))
    node.now = CHECK_SECONDS
    node.try_again()
    wait_until(node.is_back)
    assert node.asked == 1


def test_nobody_waits_while_a_silent_node_is_tried_again_and_its_return_is_noticed() -> None:
    node = LostNode()
    node.now = CHECK_SECONDS
    for _ in range(3):
        node.try_again()  # It would wait for ever here.
        assert (node.asked, node.nodes.lost) == (1, frozenset({"worker:1"}))
    node.answer.set()
    wait_until(node.is_back)


def test_a_try_that_fails_leaves_the_node_lost_until_the_next_one() -> None:
    node = LostNode()
    node.now = CHECK_SECONDS

    def fail() -> frozenset[str]:
        node.asked += 1
        raise DatabaseUnavailable

    def is_tried_again() -> bool:
        node.nodes.try_again(fail)
        node.now += CHECK_SECONDS
        return node.asked == 2

    wait_until(is_tried_again)
    assert node.nodes.lost == {"worker:1"}
