"""Checkpoints: whole or refused with one clear line, and no pickle anywhere."""

import json
import pickletools
from contextlib import contextmanager

import numpy as np
import pytest
import torch

from rostra.engine import checkpoints
from rostra.engine.checkpoints import check_folder, load_checkpoint, save_checkpoint
from rostra.engine.errors import InputError

TENSORS = {
    "weight": torch.arange(6, dtype=torch.float64).reshape(2, 3),
    "counts": torch.tensor([1, 2, 3]),
    "flag": torch.tensor(True),
    "empty": torch.zeros(0, 4),
}
CONTENT = {"config": {"lr": 0.1, "widths": [50, 50]}, "names": ["a", "ü"], "none": None}


@pytest.fixture
def model(tmp_path):
    save_checkpoint(tmp_path / "model", "toy", TENSORS, CONTENT)
    return tmp_path / "model"


def refused(folder, match, kind="toy"):
    """Loading raises an InputError of one line."""
    with pytest.raises(InputError, match=match) as caught:
        load_checkpoint(folder, kind)
    assert "\n" not in str(caught.value)


def edit(folder, **changes):
    """Change the JSON document of a checkpoint; None removes a field."""
    path = folder / "rostra.json"
    document = {**json.loads(path.read_text()), **changes}
    path.write_text(json.dumps({name: value for name, value in document.items() if value is not None}))


def check_same(folder, tensors=TENSORS, content=CONTENT):
    found, found_content = load_checkpoint(folder, "toy")
    assert found_content == content
    assert found.keys() == tensors.keys()
    for name, tensor in tensors.items():
        assert found[name].dtype == tensor.dtype
        assert torch.equal(found[name], tensor)


def test_what_is_loaded_is_what_was_saved(model):
    check_same(model)


def test_views_and_tensors_with_gradients_are_saved_by_value(tmp_path):
    tensors = {"t": TENSORS["weight"].T, "p": torch.nn.Parameter(torch.ones(2)), "part": TENSORS["weight"][:, 1]}
    save_checkpoint(tmp_path / "model", "toy", tensors, {})
    check_same(tmp_path / "model", {name: tensor.detach() for name, tensor in tensors.items()}, {})


def test_numpy_numbers_and_arrays_are_saved_as_pythons(tmp_path):
    content = {"rows": np.int64(3), "lr": np.float32(0.5), "grid": np.arange(3)}
    save_checkpoint(tmp_path / "model", "toy", TENSORS, content)
    check_same(tmp_path / "model", content={"rows": 3, "lr": 0.5, "grid": [0, 1, 2]})


@pytest.mark.parametrize("value", [{1, 2}, float("nan"), np.array([np.inf])], ids=repr)
def test_content_that_json_cannot_hold_leaves_the_folder_as_it_was(tmp_path, model, value):
    before = {path.name: path.read_bytes() for path in model.iterdir()}
    for folder in (model, tmp_path / "new"):
        with pytest.raises((TypeError, ValueError)):
            save_checkpoint(folder, "toy", {"other": torch.ones(3)}, {"value": value})
    assert {path.name: path.read_bytes() for path in model.iterdir()} == before
    assert not (tmp_path / "new").exists()


def test_saving_again_replaces_the_old_checkpoint_and_leaves_two_files(model):
    tensors = {"other": torch.ones(3)}
    save_checkpoint(model, "toy", tensors, {"new": True})
    check_same(model, tensors, {"new": True})
    assert len(list(model.iterdir())) == 2


def test_saving_the_same_tensors_with_other_content_keeps_them(model):
    save_checkpoint(model, "toy", TENSORS, {"new": True})
    check_same(model, content={"new": True})


def test_the_same_checkpoint_is_written_byte_for_byte(model, tmp_path):
    save_checkpoint(tmp_path / "again", "toy", TENSORS, CONTENT)
    assert {p.name: p.read_bytes() for p in model.iterdir()} == {
        p.name: p.read_bytes() for p in (tmp_path / "again").iterdir()
    }


def test_files_are_json_and_safetensors_and_no_pickle(model):
    (tensor_file,) = model.glob("*.safetensors")
    assert {path.name for path in model.iterdir()} == {"rostra.json", tensor_file.name}
    json.loads((model / "rostra.json").read_text())
    data = tensor_file.read_bytes()
    json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])  # safetensors: length, JSON, numbers
    for path in model.iterdir():
        with pytest.raises(ValueError, match=r"opcode|pickle|exhausted"):
            list(pickletools.genops(path.read_bytes()))


@pytest.mark.parametrize("length", [0, 1, 8, 100, -1])
def test_a_truncated_tensor_file_is_refused(model, length):
    (tensor_file,) = model.glob("*.safetensors")
    tensor_file.write_bytes(tensor_file.read_bytes()[:length])
    refused(model, "truncated or damaged; fit and save the model again")


def test_one_changed_bit_is_noticed(model):
    (tensor_file,) = model.glob("*.safetensors")
    data = bytearray(tensor_file.read_bytes())
    data[-1] ^= 1
    tensor_file.write_bytes(data)
    refused(model, "truncated or damaged")


def test_a_missing_tensor_file_is_named(model):
    (tensor_file,) = model.glob("*.safetensors")
    tensor_file.unlink()
    refused(model, f"lacks its file {tensor_file.name}")


def test_a_checkpoint_of_another_kind_is_refused(model):
    refused(model, "holds a 'toy' model; expected one of 'other'", kind="other")


@pytest.mark.parametrize("text", ["", "{", "[]", "3", "{}", "null", "\x00"])
def test_a_document_that_is_no_checkpoint_is_refused(model, text):
    (model / "rostra.json").write_text(text)
    refused(model, r"rostra\.json' is damaged")


def test_a_document_that_is_no_text_is_refused(model):
    (model / "rostra.json").write_bytes(b"\xff\xfe\x80")
    refused(model, r"rostra\.json' is damaged")


@pytest.mark.parametrize("field", ["format_version", "kind", "tensors", "sha256", "content"])
def test_a_document_that_lacks_a_field_is_refused(model, field):
    edit(model, **{field: None})
    refused(model, r"rostra\.json' is damaged")


@pytest.mark.parametrize("changes", [{"format_version": "x"}, {"tensors": 3}, {"tensors": ["a"]}])
def test_a_document_with_a_field_of_the_wrong_kind_is_refused(model, changes):
    edit(model, **changes)
    refused(model, r"rostra\.json' is damaged")


def test_a_newer_format_asks_for_an_update(model):
    edit(model, format_version=2)
    refused(model, "has format 2, newer than 1; update Rostra")


def test_a_newer_format_asks_for_an_update_even_if_its_fields_have_other_names(model):
    (model / "rostra.json").write_text(json.dumps({"format_version": 2, "type": "toy"}))
    refused(model, "has format 2, newer than 1; update Rostra")


def test_a_document_cannot_point_out_of_its_folder(model, tmp_path):
    (tensor_file,) = model.glob("*.safetensors")
    tensor_file.rename(tmp_path / "elsewhere.safetensors")
    edit(model, tensors="../elsewhere.safetensors")
    refused(model, "lacks its file")


def test_a_place_without_a_checkpoint_is_refused(tmp_path):
    refused(tmp_path / "nowhere", "does not exist")
    refused(tmp_path, r"holds no rostra\.json")
    (tmp_path / "file").write_text("")
    refused(tmp_path / "file", r"holds no rostra\.json")


def test_a_folder_with_other_files_is_left_alone(tmp_path):
    (tmp_path / "thesis.tex").write_text("years of work")
    for check in (lambda: check_folder(tmp_path), lambda: save_checkpoint(tmp_path, "toy", TENSORS, CONTENT)):
        with pytest.raises(InputError, match="holds other files; choose an empty or new folder"):
            check()
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


def test_a_place_that_cannot_be_a_folder_is_refused_before_any_work(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="is a file; a model is saved as a folder"):
        check_folder(tmp_path / "file")
    with pytest.raises(InputError, match="cannot write to"):
        check_folder(tmp_path / "file" / "model")


def test_checking_a_folder_makes_nothing(tmp_path):
    check_folder(tmp_path / "deep" / "model")
    assert list(tmp_path.iterdir()) == []


class Killed(BaseException):
    """Stands for the end of the process at this point."""


@contextmanager
def killed_between_the_files():
    """Saving ends after the tensors and before the document."""

    def write(path):
        if path.name == "rostra.json":
            raise Killed
        return original(path)

    original = checkpoints.write_atomically
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(checkpoints, "write_atomically", write)
        with pytest.raises(Killed):
            yield


def test_a_kill_between_the_two_files_leaves_the_old_checkpoint(model):
    other = {"other": torch.ones(3)}
    with killed_between_the_files():
        save_checkpoint(model, "toy", other, {"new": True})
    check_same(model)
    save_checkpoint(model, "toy", other, {"new": True})
    check_same(model, other, {"new": True})
    assert len(list(model.iterdir())) == 2


def test_a_first_save_that_was_killed_can_be_repeated(tmp_path):
    """What it left are Rostra's own files, not "other files"."""
    folder = tmp_path / "model"
    with killed_between_the_files():
        save_checkpoint(folder, "toy", TENSORS, CONTENT)
    refused(folder, r"holds no rostra\.json")
    check_folder(folder)
    save_checkpoint(folder, "toy", TENSORS, CONTENT)
    check_same(folder)


def test_content_that_json_cannot_hold_leaves_the_old_checkpoint(model):
    for content in ({"rate": float("nan")}, {"thing": object()}):
        with pytest.raises((ValueError, TypeError)):
            save_checkpoint(model, "toy", {"other": torch.ones(3)}, content)
        check_same(model)
