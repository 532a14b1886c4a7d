//! How exact the results are: the oracle, the table of ceilings, and a self-test that measures a device.
