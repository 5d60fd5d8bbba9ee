"""Terraform's configuration language, as far as others than Terraform have to read it: what a module declares."""

from __future__ import annotations

from capt.hcl.module_text import ModuleSyntaxError, ModuleText, OutputBlock, VariableBlock, parse
from capt.hcl.reader import ModuleReader
from capt.hcl.type_constraint import mismatch

__all__ = [
    "ModuleReader",
    "ModuleSyntaxError",
    "ModuleText",
    "OutputBlock",
    "VariableBlock",
    "mismatch",
    "parse",
]
