//! What applications count.

use ramson_actors::series;

series! {
    /// All series of applications.
    TABLE {
        Counter REFUSED = "ramson_application_refusals_total" ["application", "reason"]
            "What applications did not take from programs of this machine or from callers, by which of them and why.";
    }
}
