//! How a section is declared: once, with all that is to be known of each key.

/// Declares a section of the configuration: for each key its documentation, name, type, default, and whether a change is
/// [`Live`](super::key::Life::Live) or waits for the next [`Start`](super::key::Life::Start).
macro_rules! section {
    (
        $(#[doc = $about:literal])+
        $name:ident = $section:literal {
            $($(#[doc = $doc:literal])+ $key:ident: $kind:ty = $default:expr => $life:ident;)+
        }
    ) => {
        $(#[doc = $about])+
        #[derive(Clone, Debug, PartialEq, serde::Deserialize)]
        #[serde(default, deny_unknown_fields)]
        pub(crate) struct $name {
            $($(#[doc = $doc])+ pub $key: $kind,)+
        }

        impl Default for $name {
            fn default() -> Self {
                Self { $($key: $default,)+ }
            }
        }

        impl $name {
            /// What the section is about.
            pub(crate) const ABOUT: &[&str] = &[$($about),+];

            /// All keys of the section.
            pub(crate) fn keys() -> Vec<$crate::settings::key::Key> {
                let default = Self::default();
                vec![$($crate::settings::key::Key {
                    name: concat!($section, ".", stringify!($key)).replace("r#", ""),
                    kind: <$kind as $crate::settings::key::Value>::KIND,
                    default: $crate::settings::key::Value::text(&default.$key),
                    life: $crate::settings::key::Life::$life,
                    doc: &[$($doc),+],
                },)+]
            }

            /// The keys whose values differ from those of `before`.
            pub(crate) fn changes(&self, before: &Self) -> Vec<$crate::settings::key::Change> {
                let mut changes = Vec::new();
                $(if self.$key != before.$key {
                    changes.push($crate::settings::key::Change {
                        name: concat!($section, ".", stringify!($key)).replace("r#", ""),
                        before: $crate::settings::key::Value::text(&before.$key),
                        now: $crate::settings::key::Value::text(&self.$key),
                        life: $crate::settings::key::Life::$life,
                    });
                })+
                changes
            }
        }
    };
}

pub(super) use section;
