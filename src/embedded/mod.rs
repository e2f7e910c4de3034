//! A gateway in this process, to develop and test against.
