"""An executor that works in the test's own process, and a protocol that takes it under a second."""

from mmbench.api import run_plan
from mmbench.execution.devices import place
from mmbench.execution.worker import attempt
from mmbench.planning.plan import make_plan
from mmbench.planning.work import Request
from mmbench.protocol.loading import parse_protocol
from mmbench.running.tasks import Options

PROTOCOL = """
name: tiny
sources:
  classification: {dataset: phantom:paediatric_ap, cases: 60}
  segmentation: {dataset: phantom:adult_pa, cases: 60}
targets:
  segmentation: {dataset: phantom:county, cases: 20}
budgets: {pairs: [{classification: 10, segmentation: 4}]}
methods: [unet, umtl]
trivial_baselines: [majority, mean_mask]
backbone: {name: paper_unet, width: 0.25, depth: 3}
image_size: 32
training: {steps: 4, batch_size: 4}
"""


class Inline:
    """Runs tasks one after the other as a worker does, without a process of its own."""

    def run(self, tasks):
        for task in tasks:
            events = []
            last = attempt(task, 0, "mmbench.execution.job:execute", events.append)
            yield from events
            yield last

    def stop(self):
        pass


def carry_out(results, text=PROTOCOL, only=None, force=None, retry_failed=False, plugins=(), **options):
    """Run a protocol in this process, without a report, and return the summary."""
    plan = make_plan(parse_protocol(text), plugins=plugins)
    chosen = Options(request=Request(only, force, retry_failed), report=False, **options)
    return run_plan(plan, results, place("cpu", 1), chosen, executor=Inline())


def counts(summary):
    return summary.trained, summary.predicted, summary.scored
