"""Timing in turn: what slows the machine meanwhile slows all alike.

interleaved_rounds: rounds of calls, and which of them count
interleaved_sessions: sessions in turn with the fp32 model, and stages with a whole model
session_interference: what other work did to sessions, and which of them count
"""
