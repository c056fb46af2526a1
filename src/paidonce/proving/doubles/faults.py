"""Which call of a double fails, and how: what a test has ordered, what a payment method asks for, or by the plan."""

import re
from collections import Counter

from paidonce.providers.simulator.faults import Draw, Fault, FaultPlan, WebhookDraw, WebhookFault
from paidonce.proving.doubles.calls import ApiCall, PreparedCall
from paidonce.proving.doubles.webhooks import Event


class FaultSource:
    """Chooses the faults, and counts them. ``ordered`` are patterns of "POST /path", and the faults of their next
    calls.
    """

    def __init__(self, plan: FaultPlan) -> None:
        self.plan = plan
        self.ordered: list[tuple[str, Fault]] = []
        self.counts: Counter[str] = Counter()
        self._calls: Counter[str] = Counter()

    def of_call(self, call: ApiCall, prepared: PreparedCall) -> Draw:
        """Choose the fault of a call."""
        for number, (pattern, fault) in enumerate(self.ordered):
            if re.fullmatch(pattern, f"{call.method} {call.path}"):
                del self.ordered[number]
                return self._counted(Draw(fault))
        if prepared.fault is not Fault.NONE:
            return self._counted(Draw(prepared.fault))
        # The keys of one operation differ in the numbers at their end.
        operation = prepared.operation or re.sub(r"(-\d+)+$", "", prepared.key) or call.path
        self._calls[operation] += 1
        if call.method == "GET":
            return self._counted(self.plan.for_lookup(operation, self._calls[operation]), "look_up_")
        return self._counted(self.plan.for_call(operation, self._calls[operation]))

    def of_webhook(self, event: Event) -> WebhookDraw:
        """Choose the fault of a webhook. One that must arrive is late where the plan would lose it."""
        draw = self.plan.for_webhook(event.fault_key)
        if event.must_arrive and draw.webhook_fault is WebhookFault.NEVER:
            draw = draw._replace(webhook_fault=WebhookFault.LATE)
        if draw.webhook_fault is not WebhookFault.ONCE:
            self.counts[f"webhook_{draw.webhook_fault.name.lower()}"] += 1
        return draw

    def _counted(self, draw: Draw, kind: str = "") -> Draw:
        if draw.fault is not Fault.NONE:
            self.counts[f"{kind}{draw.fault.name.lower()}"] += 1
        return draw
