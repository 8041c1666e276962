"""The data sets of the sample capabilities, as CSV files.

Digits and breast cancer are the real data that ships inside scikit-learn; the fault tickets are made
here, from a fixed seed, and say so wherever they are shown.
"""

import csv
import random
from pathlib import Path
from typing import Any

from sklearn.datasets import load_breast_cancer, load_digits
from sklearn.model_selection import train_test_split

TICKETS = 3000
HELD_OUT = 0.3
SEED = 20260101
WRONG_LABELS = 0.03
VAGUE = 0.06

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
    }


def write_digits(path: Path) -> Path:
    """1,797 handwritten digits: 64 pixels from 0 to 16, and the digit."""
    data: Any = load_digits()
    header = [f"pixel_{row}_{column}" for row in range(8) for column in range(8)]
    rows = [
        [*(int(value) for value in pixels), int(label)]
        for pixels, label in zip(data.data, data.target, strict=True)
    ]
    return _write(path, [*header, "digit"], rows)


def write_breast_cancer(path: Path) -> Path:
    """569 biopsies: 30 measures of cell nuclei, and the diagnosis (malignant or benign)."""
    data: Any = load_breast_cancer()
    rows = [
        [*(float(value) for value in values), str(data.target_names[label])]
        for values, label in zip(data.data, data.target, strict=True)
    ]
    return _write(path, [*data.feature_names, "diagnosis"], rows)


def write_fault_tickets(path: Path, rows: int = TICKETS, seed: int = SEED) -> Path:
    """Generated network fault tickets; some are vague and some carry a wrong label, as in real life."""
    chance = random.Random(seed)
    return _write(path, ["text", "cause"], [_ticket(chance) for _ in range(rows)])


def _ticket(chance: random.Random) -> list[str]:
    cause = chance.choices(list(TEMPLATES), weights=(22, 20, 24, 16, 18))[0]
    texts = VAGUE_TEXTS if chance.random() < VAGUE else TEMPLATES[cause]
    text = chance.choice(texts).format(**_facts(chance)) + chance.choice(TAILS)
    if chance.random() < WRONG_LABELS:
        cause = chance.choice(list(TEMPLATES))
    return [_worn(chance, text), cause]


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


def _write(path: Path, header: list[str], rows: list[list[Any]]) -> Path:
    """Write the rows, whose last column is the truth, with the part of the data that each belongs to.

    Training never sees a row of the split `test`; evaluation sees no other.
    """
    held_out = set(
        train_test_split(
            range(len(rows)), test_size=HELD_OUT, random_state=SEED, stratify=[r[-1] for r in rows]
        )[1]
    )
    header = [*header, "split"]
    rows = [[*row, "test" if at in held_out else "train"] for at, row in enumerate(rows)]
    with path.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(header)
        writer.writerows(rows)
    return path
