"""Labels that cannot be read: the run names the file."""

import cv2
import numpy as np
import pytest

from benchmark.heads.transforms import LoadDepth, LoadLabels
from pretrain.errors import DensebenchError


@pytest.mark.parametrize("damage", ["truncated", "text", "empty", "missing"])
@pytest.mark.parametrize(
    ("reader", "key", "kind"), [(LoadLabels(3), "seg_map_path", np.uint8), (LoadDepth(), "depth_map_path", np.uint16)]
)
def test_a_damaged_label_is_named(tmp_path, reader, key, kind, damage):
    path = tmp_path / "label.png"
    labels = np.random.default_rng(0).integers(0, 3, (40, 60)).astype(kind)
    cv2.imwrite(str(path), labels)
    results = {key: str(path), "seg_fields": [], "reduce_zero_label": False}
    (field,) = reader.transform({**results, "seg_fields": []})["seg_fields"]
    unit = 1e-3 if kind is np.uint16 else 1  # metres; classes
    np.testing.assert_allclose(reader.transform({**results, "seg_fields": []})[field], unit * labels, rtol=1e-6)
    whole = path.read_bytes()
    path.write_bytes({"truncated": whole[: len(whole) // 2], "text": b"no image"}.get(damage, b""))
    if damage == "missing":
        path.unlink()
    with pytest.raises(DensebenchError, match=r"label\.png is not a readable image of labels"):
        reader.transform(dict(results))
