"""`python -m atrium.evaluation`: the job. Reads params.json and inputs/data, writes result.json and outputs/."""

import json
import os
import sys
from pathlib import Path

from atrium.evaluation.run import Evaluation
from atrium.evaluation.scoring import ScorerFailed
from atrium.evaluation.table import UnusableTable


def main() -> int:
    folder = Path.cwd()
    params = json.loads((folder / "params.json").read_text(encoding="utf-8"))
    for side in ("candidate", "production"):
        if params.get(side):
            params[side].setdefault("address", os.environ.get("ATRIUM_GATEWAY_URL", ""))
            params[side]["key"] = os.environ.pop(f"ATRIUM_KEY_{side.upper()}")
    try:
        result = Evaluation(params, folder).measure()
    except UnusableTable as error:
        print(f"The data set cannot be used: {error}", file=sys.stderr)
        return 2
    except ScorerFailed as error:
        print(f"The suite's scorer failed at {error}", file=sys.stderr)
        return 2
    (folder / "result.json").write_text(json.dumps(result, allow_nan=False), encoding="utf-8")
    main_figure = result["figures"][result["main"]]
    print(f"{result['main']}: {main_figure['value']} on {result['rows']} rows")
    return 0


if __name__ == "__main__":
    sys.exit(main())
