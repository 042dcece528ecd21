//! How a vocabulary of failures is declared: one line for each, with its label in metrics and whose fault it is.

/// Declares an enum of failures with `LABELS`, `index`, `label` and `fault`.
///
/// ```text
/// causes! {
///     /// What went wrong.
///     Cause {
///         /// Another network.
///         NetworkId(u8) = "network_id", PeerMisbehaved;
///     }
/// }
/// ```
#[macro_export]
macro_rules! causes {
    ($(#[$meta:meta])* $cause:ident {
        $($(#[$doc:meta])* $name:ident $(($data:ty))? = $label:literal, $fault:ident;)*
    }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum $cause {
            $($(#[$doc])* $name $(($data))?,)*
        }

        impl $cause {
            /// Every label there is, in the order of [`Self::index`].
            pub const LABELS: &[&str] = &[$($label,)*];

            /// The place among the labels: what counters are indexed by.
            pub fn index(self) -> usize {
                enum Index {
                    $($name,)*
                }
                match self {
                    $(Self::$name { .. } => Index::$name as usize,)*
                }
            }

            /// A name for metrics.
            pub fn label(self) -> &'static str {
                match self {
                    $(Self::$name { .. } => $label,)*
                }
            }

            /// Whose fault it was.
            pub fn fault(self) -> $crate::link::fault::Fault {
                match self {
                    $(Self::$name { .. } => $crate::link::fault::Fault::$fault,)*
                }
            }
        }
    };
}
