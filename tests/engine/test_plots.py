"""Pictures for people."""

import pytest
from PIL import Image

from rostra.engine.errors import InputError
from rostra.engine.plots import check_picture, new_figure, new_panels, save_picture


def test_a_picture_is_on_white_on_any_background(tmp_path):
    """Dark ink on nothing cannot be read in a dark viewer."""
    figure, _ = new_figure(2, 1)
    save_picture(figure, tmp_path / "figure.png")
    with Image.open(tmp_path / "figure.png") as image:
        assert image.convert("RGBA").getpixel((1, 1)) == (255, 255, 255, 255)


def test_panels_come_row_by_row():
    _, panels = new_panels(4, 4, 2, 3)
    places = [panel.get_subplotspec() for panel in panels]
    assert [(place.rowspan.start, place.colspan.start) for place in places] == [
        (r, c) for r in (0, 1) for c in range(3)
    ]


def test_a_picture_of_another_kind_is_refused_before_any_work(tmp_path):
    with pytest.raises(InputError, match=r"must end in one of \.png, \.svg, \.pdf"):
        check_picture(tmp_path / "figure.bmp")
