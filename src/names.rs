//! The macro that gives the enums of the API their names, by which they are printed, parsed and serialised.

/// Implements `Display`, `FromStr` and, with the feature `serde`, `Serialize` and `Deserialize` for an enum from a
/// table of names. Also defines `ALL`, the values in the order of the table, and `name`.
macro_rules! names {
    ($what:literal, $type:ident { $($variant:ident = $name:literal),* $(,)? }) => {
        impl $type {
            /// All values.
            pub const ALL: &[Self] = &[$(Self::$variant),*];

            /// The name by which the value is printed, parsed and serialised.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $name),*
                }
            }
        }

        impl std::fmt::Display for $type {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.pad(self.name())
            }
        }

        impl std::str::FromStr for $type {
            type Err = crate::Error;

            /// Parses a name.
            ///
            /// # Errors
            /// [`Error::UnknownName`](crate::Error::UnknownName) if no value has this name.
            fn from_str(name: &str) -> Result<Self, crate::Error> {
                match name {
                    $($name => Ok(Self::$variant),)*
                    _ => Err(crate::Error::UnknownName {
                        what: $what,
                        given: name.to_owned(),
                        expected: &[$($name),*],
                    }),
                }
            }
        }

        #[cfg(feature = "serde")]
        impl serde::Serialize for $type {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(self.name())
            }
        }

        #[cfg(feature = "serde")]
        impl<'de> serde::Deserialize<'de> for $type {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let name = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
                name.parse().map_err(serde::de::Error::custom)
            }
        }
    };
}
pub(crate) use names;

#[cfg(test)]
mod tests {
    use std::{fmt::Display, str::FromStr};

    use crate::{
        Compat, DeviceKind, Error, Form, NonFinite, OutputType, PredictionType, Reduction, TargetType, WeightType,
    };

    fn round_trip<T: Copy + PartialEq + std::fmt::Debug + Display + FromStr<Err = Error>>(all: &[T]) {
        for value in all {
            assert_eq!(value.to_string().parse::<T>().unwrap(), *value);
        }
        assert!(matches!("nonsense".parse::<T>(), Err(Error::UnknownName { .. })));
    }

    #[test]
    fn names_are_parsed_as_they_are_printed() {
        round_trip(Form::ALL);
        round_trip(Reduction::ALL);
        round_trip(NonFinite::ALL);
        round_trip(Compat::ALL);
        round_trip(DeviceKind::ALL);
        round_trip(PredictionType::ALL);
        round_trip(TargetType::ALL);
        round_trip(WeightType::ALL);
        round_trip(OutputType::ALL);
    }

    #[test]
    fn an_unknown_name_lists_the_known_ones() {
        let error = "avg".parse::<Reduction>().unwrap_err().to_string();
        assert_eq!(error, "there is no reduction 'avg'; there are: none, sum, mean, weighted-mean, per-class, per-row");
    }

    #[cfg(feature = "serde")]
    #[test]
    fn names_are_serialised() {
        for reduction in Reduction::ALL {
            let json = serde_json::to_string(reduction).unwrap();
            assert_eq!(json, format!("\"{reduction}\""));
            assert_eq!(serde_json::from_str::<Reduction>(&json).unwrap(), *reduction);
        }
    }
}
