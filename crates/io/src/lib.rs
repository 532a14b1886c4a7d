//! Files of predictions: readers, conversion to the types of the engine, writers, and the loop that joins them.
