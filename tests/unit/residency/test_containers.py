"""The memory that control groups leave, on made-up trees."""

from __future__ import annotations

from pathlib import Path

import psutil
import pytest

from edgewright.residency.containers import left
from edgewright.residency.fit import free_memory

NO_LIMIT = "9223372036854771712"  # as the first version has it


def tree(root: Path, cgroup: str, files: dict[str, str]) -> Path:
    for name, text in {"proc/self/cgroup": cgroup, **files}.items():
        file = root / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f"{text}\n")
    return root


def v1(path: str, limit: str, usage: int, inactive: int = 0) -> dict[str, str]:
    folder = f"sys/fs/cgroup/memory/{path}".rstrip("/")
    return {
        f"{folder}/memory.limit_in_bytes": limit,
        f"{folder}/memory.usage_in_bytes": str(usage),
        f"{folder}/memory.stat": f"cache 5\ninactive_file 1\ntotal_inactive_file {inactive}",
    }


def v2(path: str, limit: str, usage: int, inactive: int = 0, high: str = "max") -> dict[str, str]:
    folder = f"sys/fs/cgroup/{path}".rstrip("/")
    return {
        f"{folder}/memory.max": limit,
        f"{folder}/memory.high": high,
        f"{folder}/memory.current": str(usage),
        f"{folder}/memory.stat": f"anon 5\ninactive_file {inactive}\nactive_file 7",
    }


def test_where_nothing_limits_what_is_available_is_free(tmp_path: Path) -> None:
    assert left(tmp_path) is None, "no Linux, or none that can be looked into"
    tree(tmp_path, "0::/", {})
    assert left(tmp_path) is None
    tree(tmp_path, "0::/a", v2("a", "max", 500))
    assert left(tmp_path) is None
    assert free_memory(tmp_path) == pytest.approx(psutil.virtual_memory().available, rel=0.2)


def test_a_container_that_is_limited_leaves_its_limit_less_what_is_used(tmp_path: Path) -> None:
    tree(tmp_path, "0::/", v2("", "2000", 500))
    assert left(tmp_path) == free_memory(tmp_path) == 1500


def test_pages_of_files_that_can_be_taken_back_are_free(tmp_path: Path) -> None:
    tree(tmp_path, "0::/", v2("", "2000", 1900, inactive=1700))
    assert left(tmp_path) == 1800


def test_the_first_version_is_read_too(tmp_path: Path) -> None:
    cgroup = "9:name=systemd:/\n4:cpu,memory:/job\n1:cpu:/other\n0::/"
    tree(tmp_path, cgroup, v1("job", "3000", 1200, inactive=200) | v1("", NO_LIMIT, 9000))
    assert left(tmp_path) == 2000


@pytest.mark.parametrize("version", [v1, v2])
@pytest.mark.parametrize("limited", ["", "pods", "pods/one"])
def test_a_limit_on_any_group_above_counts(tmp_path: Path, version: type, limited: str) -> None:
    cgroup = {v1: "4:memory:/pods/one", v2: "0::/pods/one"}[version]
    none = {v1: NO_LIMIT, v2: "max"}[version]
    files: dict[str, str] = {}
    for path in ("", "pods", "pods/one", "pods/two"):
        files |= version(path, "1000" if path in (limited, "pods/two") else none, 400)
    tree(tmp_path, cgroup, files)
    assert free_memory(tmp_path) == 600


def test_the_tightest_of_several_limits_counts(tmp_path: Path) -> None:
    tree(tmp_path, "0::/a/b", v2("a/b", "9000", 100) | v2("a", "2000", 1700) | v2("", "max", 1))
    assert left(tmp_path) == 300
    tree(tmp_path, "0::/a/b", v2("a/b", "9000", 100, high="350"))
    assert left(tmp_path) == 250, "from there on the kernel slows it down to a crawl"


def test_over_its_limit_nothing_is_free(tmp_path: Path) -> None:
    tree(tmp_path, "0::/", v2("", "1000", 1200))
    assert free_memory(tmp_path) == 0


def test_a_group_whose_name_is_that_of_outside_is_found_by_its_end(tmp_path: Path) -> None:
    tree(tmp_path, "0::/docker/f00/job", v2("", "5000", 100) | v2("job", "1000", 100))
    assert left(tmp_path) == 900
    tree(tmp_path, "0::/docker/f00", {})
    assert left(tmp_path) == 4900
    tree(tmp_path, "0::/../../elsewhere", v2("elsewhere", "1", 0))
    assert left(tmp_path) == 4900


@pytest.mark.parametrize(
    "odd",
    [
        {"proc/self/cgroup": "nonsense"},
        {"sys/fs/cgroup/memory.max": "lots"},
        {"sys/fs/cgroup/memory.current": ""},
    ],
)
def test_what_cannot_be_understood_limits_nothing(tmp_path: Path, odd: dict[str, str]) -> None:
    files = {**v2("", "1000", 100), **odd}
    tree(tmp_path, odd.get("proc/self/cgroup", "0::/"), files)
    assert left(tmp_path) is None


def test_without_statistics_all_that_is_used_counts(tmp_path: Path) -> None:
    files = v2("", "1000", 400)
    files["sys/fs/cgroup/memory.stat"] = "inactive_file\ninactive_file many"
    tree(tmp_path, "0::/", files)
    assert left(tmp_path) == 600


@pytest.mark.skipif(psutil.LINUX is False, reason="control groups are Linux's")
def test_this_machine_can_be_read() -> None:
    assert 0 < free_memory() <= psutil.virtual_memory().total
