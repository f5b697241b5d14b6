//! Sources as definitions write them, without a network.
