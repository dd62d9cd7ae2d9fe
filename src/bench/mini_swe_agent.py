"""Steps of `true` by mini-swe-agent's own agent, scripted model and Docker environment, as its users run them.

Arguments: image, steps, and the file its trajectory is saved to after each step. Prints the milliseconds of each step as
JSON.
"""
import json
import os
import sys
import time
from pathlib import Path

os.environ["MSWEA_SILENT_STARTUP"] = "1"
os.environ["MSWEA_GLOBAL_COST_LIMIT"] = "0"

import minisweagent
from minisweagent.agents.default import DefaultAgent
from minisweagent.environments.docker import DockerEnvironment
from minisweagent.models.test_models import DeterministicModel, make_output

image, steps, trajectory = sys.argv[1], int(sys.argv[2]), Path(sys.argv[3])
outputs = [make_output("next", [{"command": "true"}], cost=0.0) for _ in range(steps)]
environment = DockerEnvironment(image=image, cwd="/tmp", run_args=["--rm", "--network", "none"])
took = []


class Timed(DefaultAgent):
    def step(self):
        began = time.monotonic()
        try:
            return super().step()
        finally:
            took.append((time.monotonic() - began) * 1000)


try:
    agent = Timed(
        DeterministicModel(outputs=outputs, cost_per_call=0.0),
        environment,
        system_template="You measure.",
        instance_template="{{task}}",
        step_limit=steps,
        cost_limit=0.0,
        output_path=trajectory,
    )
    began = time.monotonic()
    agent.run("measure")
    whole = (time.monotonic() - began) * 1000
finally:
    environment.cleanup()
print(json.dumps({"version": minisweagent.__version__, "steps_ms": took[:steps], "whole_ms": whole}))
