//! Rates devices: how fast they evaluate, against what their memory allows.
