import io

import cv2
import numpy as np
import pytest
from dogtree import picture
from PIL import Image, ImageOps

from doggan.data.photos import PhotographError, open_photograph, read_photograph, upright


def encoded(pixels, kind="JPEG", **options):
    """`pixels` written by Pillow, independently of what reads them."""
    buffer = io.BytesIO()
    (pixels if isinstance(pixels, Image.Image) else Image.fromarray(pixels)).save(buffer, kind, **options)
    return buffer.getvalue()


@pytest.fixture
def file(tmp_path):
    def file(data, name="dog.jpg"):
        path = tmp_path / name
        path.write_bytes(data)
        return path

    return file


@pytest.mark.parametrize("kind", ["PNG", "BMP"])
def test_lossless_files_come_back_exactly_as_rgb(file, kind):
    pixels = picture(31, 17)
    got = read_photograph(file(encoded(pixels, kind), "a.png"))
    assert got.dtype == np.uint8
    np.testing.assert_array_equal(got, pixels)


@pytest.mark.parametrize("options", [{}, {"progressive": True}, {"subsampling": 0}])
def test_jpeg(file, options):
    pixels = picture()
    got = read_photograph(file(encoded(pixels, quality=95, **options)))
    assert np.abs(got.astype(int) - pixels).mean() < 2


def test_the_content_decides_and_not_the_suffix(file):
    pixels = picture()
    photograph = open_photograph(file(encoded(pixels, "PNG"), "n02105855_2933.jpg"))
    assert not photograph.is_jpeg
    np.testing.assert_array_equal(photograph.decode(), pixels)


def test_grey_becomes_three_equal_channels(file):
    grey = picture()[..., 0]
    got = read_photograph(file(encoded(grey, "PNG")))
    np.testing.assert_array_equal(got, np.repeat(grey[..., None], 3, axis=-1))
    assert read_photograph(file(encoded(grey))).shape == (90, 120, 3)


def test_cmyk(file):
    image = Image.fromarray(picture()).convert("CMYK")
    data = encoded(image, quality=95)
    expected = np.asarray(Image.open(io.BytesIO(data)).convert("RGB")).astype(int)
    assert np.abs(read_photograph(file(data)) - expected).mean() < 2


@pytest.mark.parametrize("channels", [1, 3])
def test_of_sixteen_bits_the_upper_eight_are_kept(file, channels):
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 65536, (9, 7, channels), np.uint16)
    data = cv2.imencode(".png", pixels[..., ::-1])[1].tobytes()
    got = read_photograph(file(data, "a.png"))
    np.testing.assert_array_equal(got, np.broadcast_to(pixels >> 8, (9, 7, 3)))


def test_alpha_is_dropped_and_a_palette_resolved(file):
    pixels = picture()
    with_alpha = np.dstack([pixels, np.zeros(pixels.shape[:2], np.uint8)])
    np.testing.assert_array_equal(read_photograph(file(encoded(with_alpha, "PNG"))), pixels)
    palette = Image.fromarray(pixels).quantize(16)
    np.testing.assert_array_equal(read_photograph(file(encoded(palette, "PNG"))), np.asarray(palette.convert("RGB")))


@pytest.mark.parametrize("kind", ["PNG", "JPEG"])
def test_one_pixel(file, kind):
    got = read_photograph(file(encoded(np.full((1, 1, 3), 77, np.uint8), kind)))
    np.testing.assert_array_equal(got, [[[77, 77, 77]]])


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_turns_it_upright_as_pillow_does(file, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    pixels = picture(33, 20)
    expected = np.asarray(ImageOps.exif_transpose(Image.open(io.BytesIO(encoded(pixels, "PNG", exif=exif)))))
    np.testing.assert_array_equal(read_photograph(file(encoded(pixels, "PNG", exif=exif))), expected)
    np.testing.assert_array_equal(upright(pixels, orientation), expected)

    photograph = open_photograph(file(encoded(pixels, "JPEG", exif=exif)))
    assert photograph.orientation == orientation
    assert (photograph.width, photograph.height) == (33, 20)
    assert photograph.upright_size == expected.shape[1::-1]
    assert photograph.decode().shape == (20, 33, 3)


def test_an_orientation_that_does_not_exist_is_none(file):
    exif = Image.Exif()
    exif[0x0112] = 42
    assert open_photograph(file(encoded(picture(), "JPEG", exif=exif))).orientation == 1


@pytest.mark.parametrize("name", ["a dog.jpg", "Épagneul été.jpg", "犬 🐕.jpg", "100%s.jpg", "new\nline.jpg"])
def test_names_of_all_kinds(file, name):
    assert read_photograph(file(encoded(picture()), name)).shape == (90, 120, 3)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "BMP"])
@pytest.mark.parametrize("share", [0.3, 0.6, 0.95])
def test_truncated_files_are_refused(file, kind, share):
    data = encoded(picture(), kind)
    path = file(data[: int(share * len(data))])
    with pytest.raises(PhotographError) as caught:
        read_photograph(path)
    assert str(path) in str(caught.value)


def test_a_jpeg_that_lacks_two_bytes_or_has_more_is_told_apart(file):
    data = encoded(picture(), comment=b"an end of image: \xff\xd9")
    with pytest.raises(PhotographError):
        read_photograph(file(data[:-2]))
    assert read_photograph(file(data + b"appended")).shape == (90, 120, 3)


@pytest.mark.parametrize("data", [b"", b"x", b"\xff\xd8", b"\xff\xd8\xff", b"<html>not found</html>", bytes(5000)])
@pytest.mark.parametrize("reader", [open_photograph, read_photograph])
def test_what_is_not_a_picture_is_refused(file, data, reader):
    path = file(data)
    with pytest.raises(PhotographError) as caught:
        reader(path)
    assert str(path) in str(caught.value)


def test_a_missing_file_and_a_folder(tmp_path):
    for path in (tmp_path / "nothing.jpg", tmp_path):
        with pytest.raises(PhotographError, match="directory"):
            open_photograph(path)


def test_a_header_that_claims_gigabytes_is_refused(file):
    data = bytearray(encoded(picture(), "BMP"))
    data[18:26] = (60_000).to_bytes(4, "little") * 2
    with pytest.raises(PhotographError, match="decompression bomb"):
        open_photograph(file(bytes(data)))


@pytest.mark.parametrize(
    "options", [{}, {"progressive": True}, {"comment": b"\xff\xd8" * 99}, {"icc_profile": bytes(9)}]
)
@pytest.mark.parametrize("exif", [False, True])
def test_the_header_of_a_jpeg_agrees_with_pillow(file, options, exif):
    if exif:
        options = {**options, "exif": Image.Exif()}
        options["exif"][0x0112] = 6
    path = file(encoded(picture(301, 77), **options))
    photograph = open_photograph(path)
    with Image.open(path) as expected:
        assert (photograph.width, photograph.height) == expected.size == (301, 77)
    assert photograph.orientation == (6 if exif else 1)
    assert photograph.is_jpeg


@pytest.mark.parametrize("reduction", [2, 4, 8])
def test_reduced_decoding(file, reduction):
    pixels = picture(123, 91)
    got = open_photograph(file(encoded(pixels, quality=95))).decode(reduction)
    height, width = -(-91 // reduction), -(-123 // reduction)
    assert got.shape == (height, width, 3)
    whole = pixels[: 91 // reduction * reduction, : 123 // reduction * reduction].astype(float)
    blocks = whole.reshape(91 // reduction, reduction, 123 // reduction, reduction, 3).mean(axis=(1, 3))
    assert np.abs(got[: blocks.shape[0], : blocks.shape[1]] - blocks).mean() < 3
