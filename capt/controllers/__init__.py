"""The controllers of CAPT: one package per kind."""
