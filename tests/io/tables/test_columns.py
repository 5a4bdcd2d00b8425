from pathlib import Path

import numpy as np
import pytest

from insitrack.io.errors import TableError
from insitrack.io.tables.columns import EVENTS, FRAMES, SERIES, TABLES, TRACKS, describe_columns

CONTRACT = {
    "tracks.csv": (
        "frame t_s track_id defect_class score x_px y_px x1_px y1_px x2_px y2_px area_px major_px minor_px"
        " angle_deg on_edge size_nm area_nm2 observed"
    ),
    "series.csv": (
        "frame t_s dose_dpa defect_class n n_lo n_hi n_observed births deaths field_nm2 density_per_m2"
        " density_per_m3 size_nm size_sd_nm size_lo_nm size_hi_nm hardening_linear_mpa"
        " hardening_linear_mpa_lo hardening_linear_mpa_hi hardening_quadrature_mpa"
        " hardening_quadrature_mpa_lo hardening_quadrature_mpa_hi"
    ),
    "summary.csv": (
        "track_id defect_class t_first_s t_last_s lifetime_s left_censored right_censored size_nm"
        " growth_nm_per_s net_displacement_nm"
    ),
    "events.csv": "frame t_s kind track_id other_id",
    "frames.csv": "frame t_s status shift_x_px shift_y_px n_detections",
}


@pytest.mark.parametrize("file", sorted(CONTRACT))
def test_every_column_of_the_contract_is_there(file: str) -> None:
    assert set(CONTRACT[file].split()) <= set(TABLES[file].names)


def test_every_column_says_what_it_means_and_columns_with_a_unit_in_the_name_name_that_unit() -> None:
    units = {
        "_px": "px",
        "_nm": "nm",
        "_s": "s",
        "_mpa": "MPa",
        "_per_m2": "m^-2",
        "_per_m3": "m^-3",
        "_dpa": "dpa",
    }
    for table in TABLES.values():
        for column in table.columns:
            assert column.meaning
            stem = column.name.removesuffix("_lo").removesuffix("_hi")
            for ending, unit in units.items():
                if stem.endswith(ending) and not stem.endswith(("_per_s", "_per_px")):
                    assert column.unit.startswith(unit), column.name


def test_unknown_numbers_are_empty_cells_and_read_back_as_nan(tmp_path: Path) -> None:
    rows = {
        "frame": [0, 1],
        "t_s": [0.0, np.nan],
        "status": ["processed", "damaged"],
        "shift_x_px": [1.25, np.nan],
    }
    text = FRAMES.format(
        {
            **rows,
            "shift_y_px": [np.nan, np.nan],
            "n_detections": [3.0, np.nan],
            "drift_quality": [0.9, np.nan],
        }
        | {"field_px": [100.0, np.nan], "width_px": [12.0, np.nan], "height_px": [10.0, np.nan]}
        | {"view": [0.0, np.nan], "nm_per_px": [0.5, np.nan]}
        | {"trust": [0.25, np.nan], "distrust": ["lattice size", ""]}
    )
    first = "0,0.000000,processed,1.250,,3,0.900,100,12,10,0,0.5,0.250,lattice size\n"
    assert text == first + "1,,damaged,,,,,,,,,,,\n"
    (tmp_path / "frames.csv").write_text(FRAMES.header() + text, encoding="utf-8")
    back = FRAMES.read(tmp_path / "frames.csv")
    assert np.isnan(back["t_s"][1])
    assert back["status"].tolist() == ["processed", "damaged"]


def test_a_table_without_a_column_names_it(tmp_path: Path) -> None:
    (tmp_path / "events.csv").write_text("frame,t_s,kind,track_id\n", encoding="utf-8")
    with pytest.raises(TableError, match="lacks the column 'other_id'"):
        EVENTS.read(tmp_path / "events.csv")
    with pytest.raises(TableError, match="missing column 'score'"):
        TRACKS.format({"frame": [1], "t_s": [1.0], "track_id": [1], "defect_class": ["void"]})


def test_text_in_a_number_is_refused(tmp_path: Path) -> None:
    (tmp_path / "events.csv").write_text(EVENTS.header() + "0,0.0,birth,one,-1\n", encoding="utf-8")
    with pytest.raises(TableError, match="not of its column's type"):
        EVENTS.read(tmp_path / "events.csv")


def test_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(TableError, match="no such table"):
        SERIES.read(tmp_path / "series.csv")


def test_the_page_of_columns_is_up_to_date() -> None:
    page = Path(__file__).resolve().parents[3] / "docs" / "tables.md"
    assert page.read_text(encoding="utf-8").startswith(describe_columns()), "python docs/generate.py"
