//! __summary__
