"""Files of microscopes, written as TIA and RosettaSciIO write them."""

import struct

EMI = (
    "garbage before\0<ObjectInfo><Uuid>1</Uuid><ExperimentalDescription><Root><Data><Label>Mode</Label>"
    "<Value>{mode}</Value><Unit></Unit></Data></Root></ExperimentalDescription></ObjectInfo>\0and behind"
)


def write_ser(
    path, pictures, *, nm_per_px=0.37, start=1_700_000_000, step_s=2, long_offsets=True, kind=0x4122
):
    """Write a series as TIA does: head, one dimension, images with their tags, then the places of both."""
    offset = "<Q" if long_offsets else "<I"
    units, name = b"", b"Number"
    dimension = (
        struct.pack("<Iddi", len(pictures), 0.0, 1.0, 0)
        + struct.pack("<I", len(name))
        + name
        + struct.pack("<I", len(units))
        + units
    )
    head_size = 6 + 16 + struct.calcsize(offset) + 4 + len(dimension)
    body, places, tags = bytearray(), [], []
    for i, picture in enumerate(pictures):
        places.append(head_size + len(body))
        metres = nm_per_px * 1e-9
        body += struct.pack("<ddi", 0.0, metres, 0) * 2 + struct.pack(
            "<HII", 2, picture.shape[1], picture.shape[0]
        )
        body += picture[::-1].astype("<u2").tobytes()
        tags.append(head_size + len(body))
        body += struct.pack("<HHI", 0x4152, 0, start + round(i * step_s))
    head = struct.pack("<HHH", 0x4949, 0x0197, 0x0220 if long_offsets else 0x0210) + struct.pack(
        "<IIII", kind, 0x4152, len(pictures), len(pictures)
    )
    head += struct.pack(offset, head_size + len(body)) + struct.pack("<I", 1) + dimension
    path.write_bytes(head + bytes(body) + b"".join(struct.pack(offset, place) for place in [*places, *tags]))
    return path


def signal(data, *, units="nm", nm_per_px=0.37, step_s=0.5):
    """Make what RosettaSciIO writes from."""
    axes = [
        {
            "_type": "UniformDataAxis",
            "name": name,
            "units": unit,
            "navigate": name == "time",
            "is_binned": False,
            "size": size,
            "scale": scale,
            "offset": 0.0,
            "index_in_array": place,
        }
        for place, (name, unit, size, scale) in enumerate(
            [
                ("time", "s", data.shape[0], step_s),
                ("y", units, data.shape[1], nm_per_px),
                ("x", units, data.shape[2], nm_per_px),
            ]
        )
    ]
    kind = {"signal_type": "", "signal_dimension": 2, "record_by": "image"}
    metadata = {"General": {"title": "made", "date": "2026-01-01", "time": "10:00:00"}, "Signal": kind}
    metadata["Acquisition_instrument"] = {"TEM": {"beam_energy": 200.0}}
    plain = {
        "attributes": {"_lazy": False, "ragged": False},
        "learning_results": {},
        "models": {},
        "tmp_parameters": {},
        "original_metadata": {},
    }
    about = {"package": "insitrack", "package_version": "0"}
    return {"data": data, "axes": axes, "metadata": metadata, **about, "package_info": about, **plain}
