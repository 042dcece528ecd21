//! Tools that speak the real protocol to a router under test.
