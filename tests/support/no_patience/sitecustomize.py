"""Python processes with this folder in PYTHONPATH take seconds as they come, and wait for no calm core."""

import importlib.util
import sys
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, SourceFileLoader

_NAME = "profiling.on_device.clock.core_contention"


class _Loader(SourceFileLoader):
    def exec_module(self, module):
        super().exec_module(module)
        module._PATIENCE = module.Patience(0.0, 0.0)


class _Finder(MetaPathFinder):
    def find_spec(self, name, path, target=None) -> ModuleSpec | None:
        if name != _NAME:
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec(name)
        spec.loader = _Loader(name, spec.origin)
        return spec


sys.meta_path.insert(0, _Finder())
