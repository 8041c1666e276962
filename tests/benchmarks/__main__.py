"""`python -m tests.benchmarks [MODULE …]` measures and writes `var/bench/latest.json`."""

import dataclasses
import importlib
import json
import os
import pkgutil
import sys
import time

import tests.benchmarks as here
from portal.environment import ROOT


def main(wanted: list[str]) -> int:
    """Measure one module after the other; returns 1 when one is not known."""
    known = [module.name for module in pkgutil.iter_modules(here.__path__) if not module.name.startswith("_")]
    unknown = set(wanted) - set(known)
    if unknown:
        print(f"no benchmark {', '.join(sorted(unknown))}; there are: {', '.join(known)}", file=sys.stderr)
        return 1
    results = []
    print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}, {time.strftime('%Y-%m-%d')}")
    for name in wanted or known:
        module = importlib.import_module(f"tests.benchmarks.{name}")
        try:
            for result in module.measure():
                print(
                    f"{result.id:<40} {result.value:>12,.3f} {result.unit:<8} goal {result.goal}  {result.against}"
                )
                results.append(dataclasses.asdict(result))
        except here.Left as reason:
            print(f"{name}: left out: {reason}")
    path = ROOT / "var" / "bench" / "latest.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(results, indent=1), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
