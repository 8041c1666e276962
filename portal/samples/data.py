"""The data sets of the sample capabilities, as CSV files.

Digits, breast cancer and diabetes are the real data that ships inside scikit-learn; fault tickets, ticket details
and cell loads are made here, from a fixed seed, and say so wherever they are shown.
"""

import csv
import json
import random
from collections.abc import Collection
from datetime import datetime, timedelta
from pathlib import Path
from string import Formatter
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.datasets import load_breast_cancer, load_diabetes, load_digits
from sklearn.model_selection import train_test_split

TICKETS = 3000
HELD_OUT = 0.3
SEED = 20260101
WRONG_LABELS = 0.03
VAGUE = 0.06
DETAIL_TICKETS = 1200
PAST_H, NEXT_H = 24, 6
LOAD_DAYS = 56
LOAD_BEGINS = datetime(2026, 1, 5)  # noqa: DTZ001  local time of the cells; a Monday

TEMPLATES: dict[str, tuple[str, ...]] = {
    "fibre-cut": (
        "{time} loss of signal on {link} between {site} and {other}, optical power {dbm} dBm, suspected fibre cut",
        "Excavator damaged the cable near {site}, {count} fibres broken, {link} down",
        "OTDR shows a break at {km} km from {site}, splice team requested for {link}",
        "LOS alarm on both ends of {link}, patrol found the duct crushed by road works at {other}",
        "{link} down since {time}, no light received at {site}, cable patrol on its way",
        "Optical line between {site} and {other} interrupted, rodent damage suspected, {count} services affected",
    ),
    "power": (
        "{site} mains failure since {time}, running on battery, {volt} V left",
        "Rectifier alarm at {site}, battery discharging, generator did not start",
        "Cabinet {cab} at {site} without power after a thunderstorm, {count} cells off air",
        "Low voltage alarm {volt} V at {site}, diesel team needed before {time}",
        "Air conditioning and mains both out at {site}, breaker tripped, temperature {temp} degrees",
        "UPS bypass at {other}, fuse blown in power cabinet {cab}",
    ),
    "congestion": (
        "Utilisation of {link} above {percent} percent since {time}, packet drops rising",
        "Users near {site} report slow data in the busy hour, PRB usage {percent} percent",
        "Queue drops on port {port} towards {other}, peak traffic {gbps} Gbit/s",
        "Throughput of cell {cell} down in the evening, {count} users connected, no alarms",
        "Latency between {site} and {other} doubles in the busy hour, link {link} saturated",
        "Video stalls during the event at {site}, uplink full at {gbps} Gbit/s",
    ),
    "configuration": (
        "After last night's change at {time} VLAN {vlan} is missing on port {port} of {site}",
        "BGP session to {other} down after parameter update, wrong AS number configured",
        "Neighbour list of cell {cell} wrong after the upgrade, handover failures {percent} percent",
        "ACL on {link} blocks the management network since the change window, rollback requested",
        "MTU mismatch between {site} and {other} after migration, OSPF stuck in exstart",
        "Cell {cell} broadcasts the wrong tracking area code since the parameter import at {time}",
    ),
    "hardware": (
        "Board {board} in slot {slot} at {site} reports a hardware fault, restart without effect",
        "Fan module failed at {site}, temperature {temp} degrees, spare part needed",
        "CRC errors on port {port}, optical module replaced, error follows the board {board}",
        "RRU of cell {cell} does not answer, VSWR alarm, replacement ordered",
        "Memory parity error on {board}, card in slot {slot} resets every {count} minutes",
        "Transceiver on port {port} of {site} defective, transmit bias high, swap planned at {time}",
    ),
}
VAGUE_TEXTS = (
    "{site} not reachable since {time}, please check",
    "{link} down, {count} services affected",
    "Several customers at {site} without service, cause unknown",
    "Alarm at {other} cleared by itself, keep watching",
    "{count} cells at {site} out of service since {time}",
)
TAILS = (
    "",
    "",
    "",
    " Urgent.",
    " Customer has called twice.",
    " Second time this week.",
    " See previous ticket.",
)
SITES = (
    "Tianhe-03",
    "Panyu-11",
    "Nanshan-07",
    "Futian-02",
    "Shunde-05",
    "Huicheng-01",
    "Xiangzhou-09",
    "Chancheng-04",
)


def write_all(folder: Path) -> dict[str, Path]:
    """Write every sample data set into a folder; the result maps the data set's name to its file."""
    folder.mkdir(parents=True, exist_ok=True)
    return {
        "digits": write_digits(folder / "digits.csv"),
        "breast-cancer": write_breast_cancer(folder / "breast-cancer.csv"),
        "fault-tickets": write_fault_tickets(folder / "fault-tickets.csv"),
        "diabetes": write_diabetes(folder / "diabetes.csv"),
        "cell-load": write_cell_load(folder / "cell-load.csv"),
        "ticket-details": write_ticket_details(folder / "ticket-details.csv"),
    }


def write_digits(path: Path) -> Path:
    """1,797 handwritten digits: 64 pixels from 0 to 16, and the digit."""
    data: Any = load_digits()
    header = [f"pixel_{row}_{column}" for row in range(8) for column in range(8)]
    rows = [
        [*(int(value) for value in pixels), int(label)]
        for pixels, label in zip(data.data, data.target, strict=True)
    ]
    return _write(path, [*header, "digit"], rows, _drawn(rows, alike=True))


def write_breast_cancer(path: Path) -> Path:
    """569 biopsies: 30 measures of cell nuclei, and the diagnosis (malignant or benign)."""
    data: Any = load_breast_cancer()
    rows = [
        [*(float(value) for value in values), str(data.target_names[label])]
        for values, label in zip(data.data, data.target, strict=True)
    ]
    return _write(path, [*data.feature_names, "diagnosis"], rows, _drawn(rows, alike=True))


def write_fault_tickets(path: Path, rows: int = TICKETS, seed: int = SEED) -> Path:
    """Generated network fault tickets; some are vague and some carry a wrong label, as in real life."""
    chance = random.Random(seed)
    tickets = [_ticket(chance) for _ in range(rows)]
    return _write(path, ["text", "cause"], tickets, _drawn(tickets, alike=True))


MEASURES = ("age", "sex", "bmi", "bp", "tc", "ldl", "hdl", "tch", "ltg", "glu")


def write_diabetes(path: Path) -> Path:
    """442 patients: ten measures in their units, two groups that only evaluation looks at, and the progression."""
    data: Any = load_diabetes(scaled=False)
    rows = []
    for values, progression in zip(data.data, data.target, strict=True):
        measures = [round(float(value), 4) for value in values]
        age = "under 40" if measures[0] < 40 else "40 to 59" if measures[0] < 60 else "60 and more"
        rows.append([*measures, f"sex {measures[1]:.0f}", age, float(progression)])
    return _write(path, [*MEASURES, "sex group", "age group", "progression"], rows, _drawn(rows))


AREAS: dict[str, tuple[float, tuple[tuple[float, float], ...]]] = {
    "business": (0.45, ((10.5, 34.0), (15.5, 36.0))),
    "residential": (1.15, ((8.0, 12.0), (20.5, 44.0))),
    "station": (0.9, ((8.2, 40.0), (18.2, 42.0))),
    "campus": (0.7, ((12.3, 28.0), (21.5, 40.0))),
}
"""Load of weekends as a part of working days', and the peaks of a working day: (hour, height in points)."""


def write_cell_load(path: Path, seed: int = SEED) -> Path:
    """Generated load of 16 radio cells in percent: 24 hours and the 6 after them.

    The windows of the last 30 % of the days are held out, and those that reach into them are left out, so no
    hour that was trained on is asked about.
    """
    rng = np.random.default_rng(seed)
    header = ["id", "area", *(f"hour {hour:02d}" for hour in range(1, PAST_H + 1)), "next hours", "split"]
    split = round(LOAD_DAYS * 24 * (1 - HELD_OUT))
    rows = []
    for cell in range(16):
        area = list(AREAS)[cell % len(AREAS)]
        load = _load_of(area, rng)
        for start in range(cell % 7, len(load) - PAST_H - NEXT_H, 11):
            end = start + PAST_H + NEXT_H
            if start < split < end:
                continue
            began = LOAD_BEGINS + timedelta(hours=start)
            values = [round(float(value), 2) for value in load[start:end]]
            name = f"GD-{10201 + cell * 7} {began:%Y-%m-%d %H:%M}"
            ahead = json.dumps(values[PAST_H:])
            rows.append([name, area, *values[:PAST_H], ahead, "test" if start >= split else "train"])
    return _save(path, header, rows)


def _load_of(area: str, rng: np.random.Generator) -> NDArray[np.float64]:
    """One cell's load by the hour: its area's day, quieter weekends, slow drift, and a crowd now and then."""
    quiet, peaks = AREAS[area]
    hours = np.arange(LOAD_DAYS * 24)
    of_day, weekend = hours % 24, (hours // 24) % 7 >= 5
    size = rng.uniform(0.75, 1.2)
    load = 8 + 5 * np.cos((of_day - 15) / 24 * 2 * np.pi)
    for peak, height in peaks:
        apart = (of_day - peak + 12) % 24 - 12
        load = load + size * height * np.exp(-(apart**2) / 7) * np.where(weekend, quiet, 1.0)
    drift = np.zeros(len(hours))
    for at in range(1, len(hours)):
        drift[at] = 0.85 * drift[at - 1] + rng.normal(0, 1.6)
    for begin in rng.choice(len(hours) - 6, size=8, replace=False):
        load[begin : begin + 4] += rng.uniform(10, 25)
    return np.clip(load + drift, 0.5, 100)


LABELS = {"site": "site", "other": "site", "link": "link", "cell": "cell", "port": "port", "board": "board",
          "time": "time"}  # fmt: skip
MORE_SITES = (
    "Baiyun",
    "Yuexiu",
    "Liwan",
    "Nanhai",
    "Gaoming",
    "Doumen",
    "Jinwan",
    "Boluo",
    "Longmen",
    "Enping",
)


def write_ticket_details(path: Path, rows: int = DETAIL_TICKETS, seed: int = SEED) -> Path:
    """Generated tickets with the stretches that name sites, links, cells, ports, boards and times.

    Held-out tickets come from places that no training ticket names.
    """
    chance = random.Random(seed + 1)
    found = []
    for number in range(rows):
        held_out = number < rows * HELD_OUT
        text, spans = _ticket_with_details(chance, MORE_SITES if held_out else SITES)
        length = "short" if len(text) < 60 else "long"
        found.append([text, length, json.dumps(spans), "test" if held_out else "train"])
    chance.shuffle(found)
    return _save(path, ["text", "length", "details", "split"], found)


def _ticket_with_details(chance: random.Random, sites: Collection[str]) -> tuple[str, list[dict[str, Any]]]:
    cause = chance.choice(list(TEMPLATES))
    template = chance.choice(VAGUE_TEXTS if chance.random() < VAGUE else TEMPLATES[cause])
    facts = _facts(chance)
    site, other = chance.sample(sorted(sites), 2)
    facts |= {"site": _place(chance, site), "other": _place(chance, other)}
    text, spans = "", []
    for words, name, _form, _conversion in Formatter().parse(template):
        text += words
        if name is None:
            continue
        value = str(facts[name])
        if name in LABELS:
            spans.append({"start": len(text), "end": len(text) + len(value), "label": LABELS[name]})
        text += value
    text += chance.choice(TAILS)
    return (text.lower() if chance.random() < 0.2 else text), spans


def _ticket(chance: random.Random) -> list[str]:
    cause = chance.choices(list(TEMPLATES), weights=(22, 20, 24, 16, 18))[0]
    texts = VAGUE_TEXTS if chance.random() < VAGUE else TEMPLATES[cause]
    text = chance.choice(texts).format(**_facts(chance)) + chance.choice(TAILS)
    if chance.random() < WRONG_LABELS:
        cause = chance.choice(list(TEMPLATES))
    return [_worn(chance, text), cause]


def _place(chance: random.Random, name: str) -> str:
    """A site as people write it: with its number, without it, or without the hyphen."""
    town = name.partition("-")[0]
    number = f"{chance.randint(1, 19):02d}"
    return chance.choices([f"{town}-{number}", town, f"{town} {number}"], weights=(70, 22, 8))[0]


def _facts(chance: random.Random) -> dict[str, Any]:
    site, other = chance.sample(SITES, 2)
    return {
        "site": site,
        "other": other,
        "link": f"{chance.choice(['OTN', 'PTN', 'SPN', 'IPRAN'])}-{chance.randint(100, 999)}",
        "time": f"{chance.randint(0, 23):02d}:{chance.randint(0, 59):02d}",
        "dbm": -chance.randint(28, 40),
        "count": chance.randint(2, 48),
        "km": round(chance.uniform(0.3, 38), 1),
        "volt": round(chance.uniform(43, 51), 1),
        "temp": chance.randint(36, 61),
        "cab": f"C{chance.randint(1, 12)}",
        "percent": chance.randint(71, 99),
        "port": f"{chance.randint(0, 3)}/{chance.randint(0, 23)}",
        "gbps": round(chance.uniform(4, 96), 1),
        "cell": f"{chance.randint(10000, 99999)}",
        "vlan": chance.randint(100, 3999),
        "board": chance.choice(["BBU-2", "UBBP", "LSX-10", "MPU", "SFU", "TN54"]),
        "slot": chance.randint(1, 16),
    }


def _worn(chance: random.Random, text: str) -> str:
    """People type in a hurry: sometimes lower case, a lost letter, or a dropped tail."""
    if chance.random() < 0.2:
        text = text.lower()
    if chance.random() < 0.15:
        at = chance.randrange(1, len(text) - 1)
        text = text[:at] + text[at + 1 :]
    if chance.random() < 0.08:
        text = text[: max(24, len(text) // 2)]
    return text


def _drawn(rows: list[list[Any]], *, alike: bool = False) -> set[int]:
    """The places of the rows to hold out, drawn from a fixed seed; `alike`: as many of each truth, the last column."""
    truth = [row[-1] for row in rows] if alike else None
    return set(train_test_split(range(len(rows)), test_size=HELD_OUT, random_state=SEED, stratify=truth)[1])


def _write(path: Path, header: list[str], rows: list[list[Any]], held_out: set[int]) -> Path:
    """Write the rows, whose last column is the truth, with the part of the data that each belongs to.

    Training never sees a row of the split `test`; evaluation sees no other.
    """
    rows = [[*row, "test" if at in held_out else "train"] for at, row in enumerate(rows)]
    return _save(path, [*header, "split"], rows)


def _save(path: Path, header: list[str], rows: list[list[Any]]) -> Path:
    with path.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(header)
        writer.writerows(rows)
    return path
