import importlib.util
from pathlib import Path

import pytest
from typer.testing import CliRunner

from cellwarden.cli.app import app
from cellwarden.errors import DataError, SealError, TrustError, UsageError
from cellwarden.registry import digest, encode_portable
from cellwarden.registry.compiled import compilers
from registry.portable_models import LABEL, model

needs_onnx = pytest.mark.skipif(
    importlib.util.find_spec("onnxruntime") is None, reason="needs the extra export"
)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "made.cbor"
    path.write_bytes(encode_portable(model("LightGBM"), LABEL))
    (tmp_path / "SHA256SUMS").write_text(f"{digest(path.read_bytes())}  made.cbor\n")
    return path


def export(*words: str | Path) -> str:
    told = CliRunner().invoke(app, ["models", "export", *map(str, words)], catch_exceptions=True)
    if told.exception is not None and not isinstance(told.exception, SystemExit):
        raise told.exception
    return told.output


@needs_onnx
def test_an_onnx_file_is_compared_before_it_is_written_and_is_the_same_each_time(
    file: Path, tmp_path: Path
) -> None:
    one, other = tmp_path / "one.onnx", tmp_path / "other.onnx"
    told = export(file, "--onnx", one)
    assert f"{one.stat().st_size:,} bytes" in told
    assert "1,000 rows drawn with seed 0, by ONNX Runtime" in told
    export(file, "--onnx", other)
    assert one.read_bytes() == other.read_bytes()


def test_c_files_are_compared_by_each_compiler_of_the_machine(file: Path, tmp_path: Path) -> None:
    told = export(file, "--c", tmp_path / "made.c")
    for compiler in compilers():
        assert f"by {compiler}: equal to the last bit" in told
    if not compilers():
        assert "there is no C compiler" in told
    if "gcc" in compilers():
        assert "0 of static memory" in told
    assert '#include "made.h"' in (tmp_path / "made.c").read_text()
    assert "made_predict" in (tmp_path / "made.h").read_text()


def test_a_file_whose_digest_is_not_known_or_another_is_not_read(
    file: Path, tmp_path: Path
) -> None:
    with pytest.raises(SealError):
        export(file, "--c", tmp_path / "made.c", "--sha256", "0" * 64)
    (tmp_path / "SHA256SUMS").unlink()
    with pytest.raises(TrustError, match="nothing says"):
        export(file, "--c", tmp_path / "made.c")
    assert "made.c" in export(
        file, "--c", tmp_path / "made.c", "--sha256", digest(file.read_bytes())
    )


def test_a_wrong_call_writes_nothing(file: Path, tmp_path: Path) -> None:
    (tmp_path / "there.h").write_text("mine")
    before = sorted(tmp_path.iterdir())
    for words in (
        (file,),
        (file, "--onnx", tmp_path / "a.onnx", "--c", tmp_path / "a.c"),
        (file, "--c", tmp_path / "a.txt"),
        (file, "--c", tmp_path / "Bad-Name.c"),
        (file, "--c", tmp_path / "there.c"),
        (tmp_path / "absent.cbor", "--c", tmp_path / "a.c"),
    ):
        with pytest.raises(UsageError):
            export(*words)
    assert sorted(tmp_path.iterdir()) == before


@needs_onnx
def test_an_export_that_tells_something_else_is_not_written(
    file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from cellwarden.cli import portable
    from cellwarden.registry.onnx_file import encode_onnx

    monkeypatch.setattr(
        portable, "encode_onnx", lambda _, label: encode_onnx(model("extra trees"), label)
    )
    with pytest.raises(DataError, match="differs from Python"):
        export(file, "--onnx", tmp_path / "one.onnx")
    assert not (tmp_path / "one.onnx").exists()
