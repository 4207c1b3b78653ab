from profiling.several_runtimes.own_ranges import own_ranges, save_ranges_of_runtimes


def test_each_runtime_reads_its_own_ranges_whatever_other_files_are_called(tmp_path):
    read = {}
    for model in ("one", "other"):
        folder = tmp_path / model
        folder.mkdir()
        for runtime in ("litert", "onnxruntime"):
            (folder / runtime).write_text(f"{model} in {runtime}")
        files = {runtime: folder / runtime for runtime in ("litert", "onnxruntime")}
        save_ranges_of_runtimes(files, folder / "ranges.json")
        for runtime in files:
            read[model, runtime] = own_ranges(folder / "ranges.json", runtime).read_text()
    assert read == {(model, runtime): f"{model} in {runtime}" for model, runtime in read}
