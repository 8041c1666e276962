"""The `atrium` command: log in, search, call a capability, push a version, submit and follow a job."""

import argparse
import csv
import getpass
import io
import json
import math
import sys
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from pathlib import Path
from typing import Any, TextIO

from atrium import dossier, errors, settings
from atrium.client import Client
from atrium.deploying import PATIENCE_S, deploy
from atrium.oip import Tensor
from atrium.portal import ENDED, Portal, submit
from atrium.releasing import check_release

BATCH = 2000
BINARY_FROM = 1000
"""With so many numbers in a call they go as bytes."""


def login(given: argparse.Namespace) -> int:
    """Keep address and token, after the portal has accepted them."""
    token = given.token or getpass.getpass("Personal token (from your profile page, atr_…): ")
    portal = Portal(given.url, token)
    person = portal.me()
    values = {"url": portal.url, "token": token}
    if given.gateway:
        values["gateway"] = given.gateway
    if given.key:
        values["key"] = given.key
    path = settings.save(**values)
    print(f"Logged in as {person.get('username', 'the owner of this token')}; kept in {path}.")
    return 0


def search(given: argparse.Namespace) -> int:
    """Print the capabilities that the words find."""
    rows = Portal().search(" ".join(given.words))
    for row in rows:
        print(f"{row.get('slug', ''):<24} {row.get('name', '')}: {row.get('summary', '')}")
    if not rows:
        print("Nothing found. Try other words, or fewer.", file=sys.stderr)
    return 0 if rows else 1


def infer(given: argparse.Namespace) -> int:
    """Call a capability with every row of a file and write one answer per row."""
    try:
        return _infer(given)
    except errors.Unauthorised as error:
        if given.key or settings.load().key:
            raise
        raise errors.Unauthorised(
            "this call needs a key: give --key, set ATRIUM_KEY, or keep one with `atrium login --key KEY`; keys are "
            "made at your subscription in the store"
        ) from error


def _infer(given: argparse.Namespace) -> int:
    client = Client(given.capability, key=given.key, url=given.url, version=given.version)
    rows = read_rows(given.input)
    if not rows:
        raise errors.InvalidInput(f"{given.input} has no rows")
    if given.output is None:
        write_answers(sys.stdout, answer_rows(client, rows, given.batch), as_csv=False)
        return 0
    part = given.output.with_name(f".{given.output.name}.part")
    try:
        with part.open("w", encoding="utf-8", newline="") as out:
            told = told_progress(answer_rows(client, rows, given.batch), len(rows), given.batch)
            write_answers(out, told, as_csv=given.output.suffix.lower() == ".csv")
        part.replace(given.output)
    finally:
        part.unlink(missing_ok=True)  # what was there before stays when a call fails
    return 0


def answer_rows(client: Client, rows: Sequence[Any], batch: int) -> Iterator[dict[str, Any]]:
    """One answer for each row, asked in calls of `batch`."""
    for at in range(0, len(rows), batch):
        part = rows[at : at + batch]
        try:
            yield from call_rows(client, part)
        except errors.InvalidInput as error:
            error.args = (f"rows {at + 1} to {at + len(part)}: {error}",)
            raise


def told_progress(answers: Iterable[dict[str, Any]], total: int, step: int) -> Iterator[dict[str, Any]]:
    """The same answers, with a line on stderr that says how far it is."""
    told = False
    try:
        for done, answer in enumerate(answers, 1):
            yield answer
            if done % step == 0 or done == total:
                told = True
                print(f"\r{done} of {total}", end="", file=sys.stderr, flush=True)
    finally:
        if told:
            print(file=sys.stderr)


def write_answers(out: TextIO, answers: Iterable[dict[str, Any]], *, as_csv: bool) -> None:
    """One JSON object a line, or a CSV table with a column for each output; lists in it are JSON."""
    if not as_csv:
        out.writelines(json.dumps(answer, ensure_ascii=False) + "\n" for answer in answers)
        return
    writer = csv.writer(out)
    for number, answer in enumerate(answers):
        if not number:
            writer.writerow(answer)
        writer.writerow(
            json.dumps(value, ensure_ascii=False) if isinstance(value, list) else value
            for value in answer.values()
        )


def positive(text: str) -> int:
    """A whole number from 1, for argparse."""
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("must be 1 or more")
    return number


def read_rows(path: Path) -> list[Any]:
    """Rows of a .csv file with a header, the lines of a .jsonl file, or a JSON list."""
    text = path.read_text(encoding="utf-8-sig")
    if path.suffix.lower() == ".csv":
        head, *rows = csv.reader(io.StringIO(text, newline="")) if text.strip() else [[]]
        return [dict(zip(head, row, strict=False)) for row in rows if row]
    if path.suffix in (".jsonl", ".ndjson"):
        return [json.loads(line) for line in text.splitlines() if line.strip()]
    if path.suffix == ".txt":
        return [line for line in text.splitlines() if line.strip()]
    document = json.loads(text)
    return document if isinstance(document, list) else [document]


def call_rows(client: Client, rows: Sequence[Any]) -> list[dict[str, Any]]:
    """Call once with many rows; each gives one object by output name."""
    specs = client.metadata()["inputs"]
    inputs = columns(specs, rows)
    cells = sum(len(value.values or ()) for value in inputs.values() if isinstance(value, Tensor))
    answer = client.infer(inputs, binary=cells >= BINARY_FROM)
    names = list(answer)
    return [dict(zip(names, row, strict=True)) for row in zip(*answer.values(), strict=True)]


def columns(specs: Sequence[dict[str, Any]], rows: Sequence[Any]) -> dict[str, list[Any] | Tensor]:
    """Rows as values by input: by name where a row names the inputs, else all its cells in order."""
    names = [str(spec["name"]) for spec in specs]
    named = [row for row in rows if isinstance(row, dict) and set(names) <= set(row)]
    if len(named) == len(rows):
        return {
            name: [_cell(spec, row[name]) for row in rows] for name, spec in zip(names, specs, strict=True)
        }
    if len(specs) != 1:
        raise errors.InvalidInput(f"each row must name the inputs {', '.join(names)}")
    cells = [list(row.values()) if isinstance(row, dict) else row for row in rows]
    if (table := _table(specs[0], cells)) is not None:
        return {names[0]: table}
    return {names[0]: [_shaped(specs[0], row) for row in cells]}


def _table(spec: dict[str, Any], cells: Sequence[Any]) -> Tensor | None:
    """Rows of a CSV file of numbers as one tensor, read in one go; None for anything else."""
    shape = [int(size) for size in spec["shape"][1:]]
    width = math.prod(shape)
    read = float if spec["datatype"].startswith("FP") else int if "INT" in spec["datatype"] else None
    fits = all(isinstance(row, list) and len(row) == width for row in cells)
    if read is None or not fits or width < 1 or not all(isinstance(cell, str) for cell in cells[0]):
        return None
    try:
        values = list(map(read, chain.from_iterable(cells)))
    except (TypeError, ValueError):
        return None  # the slow way names the cell
    return Tensor(spec["name"], spec["datatype"], (len(cells), *shape), values)


def _cell(spec: dict[str, Any], value: Any) -> Any:
    """CSV knows only text: numbers are read for numeric inputs."""
    if not isinstance(value, str) or spec["datatype"] == "BYTES":
        return value
    try:
        return json.loads(value)
    except ValueError as error:
        raise errors.InvalidInput(f"input '{spec['name']}': {value!r} is not a number") from error


def _shaped(spec: dict[str, Any], row: Any) -> Any:
    """The cells of one row in the shape of one item."""
    if not isinstance(row, list):
        return _cell(spec, row)
    values = [_cell(spec, value) for value in row]
    shape = spec["shape"][1:]
    if not shape:
        return values[0]
    for size in reversed(shape[1:]):
        if size < 1 or len(values) % size:
            raise errors.InvalidInput(
                f"a row has {len(row)} cells, which do not fill an item of shape {shape}"
            )
        values = [values[at : at + size] for at in range(0, len(values), size)]
    return values


def push(given: argparse.Namespace) -> int:
    """Upload a model folder as a version, and follow its packaging when asked to."""
    portal = Portal(timeout_s=600)
    version = portal.push(
        given.folder,
        name=given.name,
        version=given.version,
        team=given.team,
        told=told_file,
        changelog=given.changelog,
        dataset_version=given.dataset,
        code_digest=given.code,
        training_job=given.job,
        parameters=_parameters(given.param) or None,
    )
    print(f"Uploaded {given.name} {given.version} (version {version.get('id')}, {version.get('status')}).")
    if given.wait and version.get("job_id"):
        return _follow(portal, int(version["job_id"]))
    return 0


def told_file(path: str, size: int, sent: bool) -> None:
    """A line on stderr for each file of a push."""
    shown = f"{size / 1e6:.1f} MB" if size >= 100_000 else f"{size / 1e3:.1f} kB"
    print(f"{path}  {shown}  {'sent' if sent else 'was there already'}", file=sys.stderr)


def run_job(given: argparse.Namespace) -> int:
    """Submit a script or notebook."""
    asked = {"cell_timeout_s": given.cell_timeout, "environment": given.environment}
    facts = {name: value for name, value in asked.items() if value is not None} | _wanted(given)
    facts |= {"params": _parameters(given.param), "labels": given.label}
    facts |= {"datasets": given.dataset} if given.dataset else {}
    job = submit(given.source, team=given.team, title=given.title, **facts)
    print(f"Job {job['id']} is {job['status']}.")
    return _follow(Portal(), int(job["id"])) if given.wait else 0


def _wanted(given: argparse.Namespace) -> dict[str, Any]:
    """What was asked for of the options that `_add_wants` has."""
    resources = {"cpu": given.cpu, "memory_mb": given.memory, "gpu": given.gpu}
    asked = {
        "timeout_s": given.timeout,
        "max_attempts": given.attempts,
        "priority": given.priority,
        "resources": {name: value for name, value in resources.items() if value is not None} or None,
    }
    return {name: value for name, value in asked.items() if value is not None}


def _add_wants(one: argparse.ArgumentParser, *, usual: str) -> None:
    """The options for what a job is given of the machine; `usual` tells whose time and attempts are the default."""
    one.add_argument("--cpu", type=float, metavar="CORES")
    one.add_argument("--memory", type=int, metavar="MB")
    one.add_argument("--gpu", type=float, metavar="SHARE")
    one.add_argument("--timeout", type=float, metavar="SECONDS", help=f"default: {usual or 'an hour'}")
    one.add_argument("--attempts", type=positive, help=f"how often it is tried; default: {usual or 'once'}")
    one.add_argument("--priority", type=positive, help="from 1, first, to 9, last; default: 5")


def run_version(given: argparse.Namespace) -> int:
    """Run a version for tests and say how it is called."""
    endpoint = deploy(given.version, labels=given.label or None, timeout_s=given.timeout)
    print(f"{endpoint.capability} {endpoint.version} answers at {endpoint.url}")
    print(f"Key for a day: {endpoint.key}\nPage: {endpoint.page}")
    return 0


def list_recipes(given: argparse.Namespace) -> int:
    """Print the recipes with what they take."""
    for row in Portal().get("recipes/")["results"]:
        takes = [f"{one['name']}={one['default']}" for one in row["parameters"]]
        print(f"{row['slug']} v{row['number']}  {row['name']}  {' '.join([*takes, *row['slots']])}".rstrip())
    return 0


def publish_recipe(given: argparse.Namespace) -> int:
    """Publish a folder with code."""
    facts = {"slots": given.slot, "refines": given.refines, "summary": given.summary}
    defaults = _parameters(given.param)
    facts["parameters"] = [{"name": name, "default": value} for name, value in defaults.items()]
    made = Portal(timeout_s=600).publish_recipe(
        given.folder, given.entry, name=given.name, team=given.team, **facts
    )
    print(f"Published {made['slug']} version {made['number']}.")
    return 0


def run_recipe(given: argparse.Namespace) -> int:
    """Run a recipe."""
    params = _parameters(given.param)
    facts: dict[str, Any] = {"params": params, "datasets": dict(one.split("=", 1) for one in given.dataset)}
    facts |= {"base": given.base} if given.base else {}
    facts |= {"labels": given.label} if given.label else {}
    facts |= _wanted(given)
    run = Portal().run_recipe(given.name, team=given.team, capability=given.capability, **facts)
    print(f"Job {run['job']} is {run['job_status']}.")
    return _follow(Portal(), int(run["job"])) if given.wait else 0


def push_dataset(given: argparse.Namespace) -> int:
    """Upload data as the next version of a data set."""
    facts = {"name": given.name, "team": given.team, "note": given.note}
    made = Portal(timeout_s=600).push_dataset(given.source, told=told_file, **facts)
    rows = f", {made['rows']} rows" if made.get("rows") is not None else ""
    print(f"Uploaded {made['dataset']} version {made['number']}{rows}.")
    return 0


def split_dataset(given: argparse.Namespace) -> int:
    """Divide a version into parts."""
    shares = {name: float(share) for name, _equals, share in (one.partition("=") for one in given.share)}
    how = {"stratify_by": given.stratify_by, "group_by": given.group_by, "seed": given.seed}
    made = Portal().split_dataset(given.name, given.version, shares, **how)
    print(", ".join(f"{part} {count}" for part, count in made["parts"].items()))
    return 0


def tag_dataset(given: argparse.Namespace) -> int:
    """Name a version."""
    made = Portal().tag_dataset(given.name, given.version, given.tag)
    print(f"“{made['name']}” names {given.name} version {made['number']}.")
    return 0


def compare_dataset(given: argparse.Namespace) -> int:
    """Print what changed between two versions, in short; --json gives all of it."""
    found = Portal().compare_dataset(given.name, given.before, given.after, key=given.key)
    if given.json:
        print(json.dumps(found, indent=2, ensure_ascii=False))
        return 0
    rows = found["rows"] or {}
    for fact in ("added", "removed", "changed", "unchanged"):
        if fact in rows:
            print(f"rows {fact}: {rows[fact]}")
    for fact, columns in found["schema"].items():
        print(*(f"column {fact}: {one['name']}" for one in columns), sep="\n", end="\n" if columns else "")
    for one in found["columns"][:10]:
        print(f"{one['name']}: shift {one['shift']:.3f}")
    return 0


def _parameters(given: Sequence[str]) -> dict[str, Any]:
    """What `--param NAME=VALUE` says, given any number of times."""
    return {name: _value(text) for name, _equals, text in (one.partition("=") for one in given)}


def _value(text: str) -> Any:
    """A parameter as JSON where it is some (5, 0.1, true, [1, 2]), else the text itself."""
    try:
        return json.loads(text)
    except ValueError:
        return text


def follow(given: argparse.Namespace) -> int:
    """Print a job's log until it ends; the exit code says how."""
    return _follow(Portal(), given.job)


def _follow(portal: Portal, number: int) -> int:
    for text in portal.follow(number):
        sys.stdout.write(text)
        sys.stdout.flush()
    job = portal.job(number)
    assert job["status"] in ENDED
    print(f"Job {number} {job['status']}. {job.get('reason') or ''}".rstrip(), file=sys.stderr)
    return 0 if job["status"] == "succeeded" else 1


def release_check(given: argparse.Namespace) -> int:
    """List what blocks a release."""
    found = check_release(Portal(), given.capability, given.version)
    for number, blocker in enumerate(found, 1):
        print(f"{number}. {blocker['words']}\n   {blocker['url']}")
    if not found:
        print(f"Nothing blocks {given.capability} {given.version}.")
    return 1 if found else 0


def verify_dossier(given: argparse.Namespace) -> int:
    """Check a release's dossier without the portal."""
    found = dossier.verify(given.file)
    for fact in found.facts:
        print(fact)
    for problem in found.problems:
        print(f"NOT INTACT: {problem}", file=sys.stderr)
    if not found.problems:
        print("intact")
    return 1 if found.problems else 0


def parser() -> argparse.ArgumentParser:
    """The command line."""
    top = argparse.ArgumentParser(prog="atrium", description="The AI portal from the command line.")
    commands = top.add_subparsers(dest="command", required=True)

    one = commands.add_parser("login", help="keep the portal's address and your token")
    one.add_argument("--url", help="the portal, for example http://portal.localhost:8000")
    one.add_argument("--gateway", help="the gateway, for example http://127.0.0.1:8080")
    one.add_argument("--token", help="personal token; asked for when left out")
    one.add_argument("--key", help="subscription key to use by default")
    one.set_defaults(run=login)

    one = commands.add_parser("search", help="find capabilities")
    one.add_argument("words", nargs="*")
    one.set_defaults(run=search)

    one = commands.add_parser("infer", help="call a capability with the rows of a file")
    one.add_argument("capability")
    one.add_argument("input", type=Path, help=".csv with a header, .jsonl, .json or .txt")
    one.add_argument(
        "output",
        type=Path,
        nargs="?",
        help="a table for .csv, else one JSON object per row; default: print them",
    )
    one.add_argument("--version")
    one.add_argument("--key")
    one.add_argument("--url", help="the gateway")
    one.add_argument("--batch", type=positive, default=BATCH, help="rows per call")
    one.set_defaults(run=infer)

    one = commands.add_parser("push", help="upload a model folder as a new version")
    one.add_argument("folder", type=Path)
    one.add_argument("--name", required=True, help="the capability's short name")
    one.add_argument("--version", required=True, help="for example 1.2.0")
    one.add_argument("--team", help="make the capability for this team when it does not exist")
    one.add_argument("--changelog")
    one.add_argument("--dataset", metavar="NAME/NUMBER", help="the data set version that it was trained on")
    one.add_argument("--code", metavar="COMMIT", help="the code that it was trained by")
    one.add_argument("--job", metavar="NUMBER", help="the job that trained it")
    one.add_argument(
        "--param", action="append", default=[], metavar="NAME=VALUE", help="what it was trained with"
    )
    one.add_argument("--wait", action="store_true", help="follow the packaging")
    one.set_defaults(run=push)

    one = commands.add_parser("submit", help="run a script or notebook as a job")
    one.add_argument("source", type=Path)
    one.add_argument("--team", default="", help="default: the workspace's, or your only one")
    one.add_argument("--title", default="")
    one.add_argument("--param", action="append", default=[], metavar="NAME=VALUE")
    one.add_argument("--label", action="append", default=[], help="only a node with this label takes it")
    one.add_argument(
        "--dataset",
        action="append",
        default=[],
        metavar="DATASET@VERSION",
        help="what atrium.dataset finds there: faults@3, or faults@tag",
    )
    one.add_argument(
        "--cell-timeout",
        type=float,
        metavar="SECONDS",
        help="end a notebook's cell that hangs for so long; 0: never",
    )
    one.add_argument("--environment", help="default: base")
    _add_wants(one, usual="")
    one.add_argument("--wait", action="store_true", help="follow its log")
    one.set_defaults(run=run_job)

    one = commands.add_parser("deploy", help="run a version for tests and wait until it answers")
    one.add_argument("version", metavar="CAPABILITY/NUMBER", help="for example digits/1.2.0")
    one.add_argument("--label", action="append", default=[], help="only a node with this label runs it")
    one.add_argument("--timeout", type=positive, default=int(PATIENCE_S), help="seconds to wait")
    one.set_defaults(run=run_version)

    one = commands.add_parser("recipe", help="list, publish and run training recipes")
    verbs = one.add_subparsers(dest="verb", required=True)
    verbs.add_parser("list", help="those that you may run").set_defaults(run=list_recipes)
    one = verbs.add_parser("publish", help="make one of a folder with code")
    one.add_argument("folder", type=Path)
    one.add_argument("entry", help="the script or notebook in it to start")
    one.add_argument("--name", required=True, help="the recipe's short name")
    one.add_argument("--team", required=True)
    one.add_argument("--summary", default="")
    one.add_argument("--param", action="append", default=[], metavar="NAME=DEFAULT")
    one.add_argument("--slot", action="append", default=[], help="a data set that the code asks for")
    one.add_argument("--refines", action="store_true", help="it starts from atrium.base_model()")
    one.set_defaults(run=publish_recipe)
    one = verbs.add_parser("run", help="run one with your own data")
    one.add_argument("name")
    one.add_argument("--team", required=True)
    one.add_argument("--param", action="append", default=[], metavar="NAME=VALUE")
    one.add_argument("--dataset", action="append", default=[], metavar="SLOT=DATASET/NUMBER")
    one.add_argument("--base", type=int, help="the id of the version to refine")
    one.add_argument("--capability", default="", help="register the model as a version of it")
    one.add_argument(
        "--label",
        action="append",
        default=[],
        help="only a node with this label takes it, whatever the recipe says",
    )
    _add_wants(one, usual="the recipe's")
    one.add_argument("--wait", action="store_true", help="follow its log")
    one.set_defaults(run=run_recipe)

    _add_dataset_commands(commands.add_parser("dataset", help="upload, split, tag and compare data sets"))

    one = commands.add_parser("follow", help="print a job's log until it ends")
    one.add_argument("job", type=int)
    one.set_defaults(run=follow)

    one = commands.add_parser("release", help="ask about a release")
    verbs = one.add_subparsers(dest="verb", required=True)
    one = verbs.add_parser("check", help="list what blocks it")
    one.add_argument("capability")
    one.add_argument("version", help="for example 1.2.0")
    one.set_defaults(run=release_check)

    one = commands.add_parser("verify", help="check a release's dossier without the portal")
    one.add_argument("file", type=Path)
    one.set_defaults(run=verify_dossier)
    return top


def _add_dataset_commands(group: argparse.ArgumentParser) -> None:
    verbs = group.add_subparsers(dest="verb", required=True)
    one = verbs.add_parser("push", help="upload a file or folder as the next version")
    one.add_argument("source", type=Path)
    one.add_argument("--name", required=True, help="the data set's short name")
    one.add_argument("--team", help="make the data set for this team when it does not exist")
    one.add_argument("--note", default="")
    one.set_defaults(run=push_dataset)
    one = verbs.add_parser("split", help="divide a version into parts, once")
    one.add_argument("name")
    one.add_argument("version", type=int)
    one.add_argument(
        "--share", action="append", default=[], metavar="PART=SHARE", help="train=0.8 val=0.1 test=0.1"
    )
    one.add_argument("--stratify-by", default="", metavar="COLUMN", help="keep its values in proportion")
    one.add_argument("--group-by", default="", metavar="COLUMN", help="keep rows with one value together")
    one.add_argument("--seed", type=int, default=0)
    one.set_defaults(run=split_dataset)
    one = verbs.add_parser("tag", help="name a version; another one loses the name")
    one.add_argument("name")
    one.add_argument("version", type=int)
    one.add_argument("tag")
    one.set_defaults(run=tag_dataset)
    one = verbs.add_parser("diff", help="what changed between two versions")
    one.add_argument("name")
    one.add_argument("before", help="a number or a tag")
    one.add_argument("after", help="a number or a tag")
    one.add_argument("--key", help="the column by which rows are recognised")
    one.add_argument("--json", action="store_true", help="everything, with sample rows")
    one.set_defaults(run=compare_dataset)


def _words(error: Exception) -> str:
    if isinstance(error, OSError) and error.filename is not None and error.strerror:
        return f"{error.filename}: {error.strerror}"
    return str(error)


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command; every expected error is one line on stderr and exit code 1."""
    given = parser().parse_args(argv)
    try:
        return int(given.run(given))
    except (errors.AtriumError, OSError, ValueError) as error:
        print(f"atrium {given.command}: {_words(error)}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
