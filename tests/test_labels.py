"""Class maps: reading ScanNet's table, closed and open maps."""

import logging
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tiny_scenes import SCANNET_TABLE, write_label_table

from gpnerf.data.labels import CLASS_NAMES, label_map, replica_labels, scannet_labels

# Written out by hand from the benchmark's list: nyu40 id -> training id.
BY_HAND = {1: 0, 5: 4, 7: 6, 40: 20, 3: 2, 39: 19}


def test_scannet_map_follows_the_table(tmp_path: Path) -> None:
    labels = scannet_labels(write_label_table(tmp_path))
    raw = np.array([[0, *SCANNET_TABLE]])
    assert labels.to_train(raw)[0].tolist() == [20, *(BY_HAND[nyu40] for nyu40 in SCANNET_TABLE.values())]
    assert labels.strangers(raw) == []
    assert labels.strangers(np.array([[3, 1, 5000]])) == [3, 5000]


@given(st.lists(st.integers(-5, 70000), min_size=1, max_size=40))
def test_replica_map_is_total(ids: list[int]) -> None:
    labels = replica_labels()
    table = dict(zip(labels.raw_ids.tolist(), labels.train_ids.tolist(), strict=True))
    assert labels.to_train(np.array([ids]))[0].tolist() == [table.get(i, 51) for i in ids]
    assert labels.strangers(np.array([ids])) == []


def test_names_belong_to_their_ids() -> None:
    names = CLASS_NAMES["replica51"]
    raw = np.array([[93, 40, 31, 20, 98]])
    assert [names[k] for k in replica_labels().to_train(raw)[0]] == ["wall", "floor", "ceiling", "chair", "rug"]
    assert (len(CLASS_NAMES["scannet20"]), len(names)) == (20, 51)
    assert all(len(set(listed)) == len(listed) for listed in CLASS_NAMES.values())


def test_every_class_map_has_as_many_classes_as_names(tmp_path: Path) -> None:
    table = write_label_table(tmp_path)
    assert {name: label_map(name, table).ignore for name in CLASS_NAMES} == {k: len(v) for k, v in CLASS_NAMES.items()}


def test_table_columns_may_stand_in_any_order_and_with_others(tmp_path: Path) -> None:
    table = tmp_path / "table.tsv"
    table.write_text('nyu40id\tcount\tid\tcategory\n5\t9\t2\tchair "old"\n2\t1\t3\t\n')
    assert scannet_labels(table).to_train(np.array([[2, 3]])).tolist() == [[4, 1]]


def test_an_empty_cell_means_no_class_and_is_told_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    table = tmp_path / "table.tsv"
    table.write_text("id\tnyu40id\tcategory\n2\t5\tchair\n3\t\tthing\n4\tnan\tthing\n\t7\tthing\n5\t1.0\twall\n")
    with caplog.at_level(logging.WARNING):
        labels = scannet_labels(table)
    assert labels.to_train(np.array([[2, 3, 4, 5, 0]])).tolist() == [[4, 20, 20, 0, 20]]
    assert labels.strangers(np.array([[2, 3, 4, 5, 0]])) == []
    assert [record.getMessage() for record in caplog.records] == [
        f"{table}: 3 rows have an empty id or nyu40id; such ids count as no class"
    ]
