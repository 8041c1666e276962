"""Annotators without eyes: claim, submit, again. Reads what to do from stdin as JSON, writes what it saw."""

import http.client
import json
import sys
import threading
import time


class Person:
    """One connection that is kept, and how long each request took."""

    def __init__(self, port: int, token: str) -> None:
        self.connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        self.headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
        self.times: list[float] = []
        self.tasks = 0
        self.wrong: list[str] = []

    def post(self, path: str, body: object) -> object:
        began = time.perf_counter()
        self.connection.request("POST", path, json.dumps(body), self.headers)
        answer = self.connection.getresponse()
        content = answer.read()
        self.times.append(time.perf_counter() - began)
        if answer.status not in (200, 201):
            self.wrong.append(f"{path}: {answer.status} {content[:200]!r}")
            return None
        return json.loads(content)

    def label(self, project: int, until: float) -> None:
        while time.perf_counter() < until and not self.wrong:
            place = self.post(f"/api/v1/annotation-projects/{project}/claim/", {})
            if place is None:
                return
            told = {"slot": place["slot"], "token": place["token"], "label": "a", "seconds": 1}
            self.tasks += self.post("/api/v1/annotations/", told) is not None


def main() -> None:
    asked = json.load(sys.stdin)
    people = [Person(asked["port"], token) for token in asked["tokens"]]
    began = time.perf_counter()
    threads = [
        threading.Thread(target=person.label, args=(asked["project"], began + asked["seconds"]))
        for person in people
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    wrong = [text for person in people for text in person.wrong]
    if wrong:
        sys.exit(wrong[0])
    times = sorted(value for person in people for value in person.times)
    told = {
        "tasks": sum(person.tasks for person in people),
        "seconds": time.perf_counter() - began,
        "p50_ms": 1000 * times[len(times) // 2],
        "p99_ms": 1000 * times[int(len(times) * 0.99)],
    }
    print(json.dumps(told))


if __name__ == "__main__":
    main()
