//! The server's version: which dialect it speaks, and whether it is new enough.
use crate::settings::Dialect;

/// What a server says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Version {
    /// The dialect it speaks.
    pub dialect: Dialect,
    /// Its number, such as `[10, 11]`.
    number: [u32; 2],
}

/// The least versions. `on conflict` of PostgreSQL, generated upserts and locks by name of the others.
const LEAST: [(Dialect, [u32; 2]); 3] =
    [(Dialect::Postgresql, [9, 5]), (Dialect::Mysql, [5, 7]), (Dialect::Mariadb, [10, 2])];

/// The least versions for queues: `skip locked`.
const LEAST_FOR_QUEUES: [(Dialect, [u32; 2]); 2] = [(Dialect::Mysql, [8, 0]), (Dialect::Mariadb, [10, 6])];

impl Version {
    /// From the answer to `select version()`.
    pub fn parse(text: &str, dialects: &[Dialect]) -> Option<Version> {
        let has = |word: &str| text.contains(word);
        let dialect = match dialects.first()? {
            _ if has("CockroachDB") => Dialect::Cockroachdb,
            _ if has("-YB-") => Dialect::Yugabytedb,
            _ if has("TiDB") => Dialect::Tidb,
            _ if has("MariaDB") => Dialect::Mariadb,
            first => *first,
        };
        let digits = text.split(|c: char| !c.is_ascii_digit()).filter(|part| !part.is_empty());
        let mut numbers = digits.map_while(|part| part.parse().ok());
        let number = [numbers.next()?, numbers.next().unwrap_or(0)];
        dialects.contains(&dialect).then_some(Version { dialect, number })
    }

    /// The reason why it is too old for this object, or cannot carry it at all.
    pub fn refusal(&self, object: &str) -> Option<String> {
        let of = |list: &[(Dialect, [u32; 2])]| {
            list.iter().find(|(dialect, _)| *dialect == self.dialect).map(|(_, least)| *least)
        };
        let least = if object == "queue" { of(&LEAST_FOR_QUEUES).or_else(|| of(&LEAST)) } else { of(&LEAST) };
        let name = self.dialect.name();
        let [major, minor] = self.number;
        match (self.dialect, object) {
            (Dialect::Cockroachdb, "lock" | "guarded") => {
                Some(format!("{name} has no locks by name: its pg_try_advisory_lock grants every request"))
            }
            (Dialect::Tidb, "queue") => Some(format!("{name} has no `skip locked`, which queues need")),
            _ => least.filter(|least| self.number < *least).map(|[least, low]| {
                format!("the server is {name} {major}.{minor}; {object} needs {least}.{low} or newer")
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const POSTGRES: &[Dialect] = &[Dialect::Postgresql, Dialect::Cockroachdb, Dialect::Yugabytedb];
    const MYSQL: &[Dialect] = &[Dialect::Mysql, Dialect::Mariadb, Dialect::Tidb];

    #[test]
    fn the_dialect_and_the_number_follow_from_what_the_server_says() {
        let cases = [
            ("PostgreSQL 15.18 (Debian 15.18-0+deb12u1) on x86_64", POSTGRES, Dialect::Postgresql, [15, 18]),
            ("PostgreSQL 18beta1 on x86_64", POSTGRES, Dialect::Postgresql, [18, 1]),
            ("CockroachDB CCL v23.1.11 (x86_64-pc-linux-gnu)", POSTGRES, Dialect::Cockroachdb, [23, 1]),
            ("PostgreSQL 11.2-YB-2.21.0.0-b0 on x86_64", POSTGRES, Dialect::Yugabytedb, [11, 2]),
            ("10.11.19-MariaDB-0+deb12u1", MYSQL, Dialect::Mariadb, [10, 11]),
            ("8.0.36", MYSQL, Dialect::Mysql, [8, 0]),
            ("5.7.25-TiDB-v7.1.0", MYSQL, Dialect::Tidb, [5, 7]),
        ];
        for (text, dialects, dialect, number) in cases {
            assert_eq!(Version::parse(text, dialects), Some(Version { dialect, number }), "{text}");
        }
        assert_eq!(Version::parse("10.11.19-MariaDB", POSTGRES), None);
        assert_eq!(Version::parse("no number", POSTGRES), None);
    }

    #[test]
    fn a_server_that_is_too_old_is_refused() {
        let refusal = |text, dialects, object| Version::parse(text, dialects).expect("a version").refusal(object);
        assert_eq!(refusal("PostgreSQL 9.5.3 on x86_64", POSTGRES, "register"), None);
        let old = refusal("PostgreSQL 9.4.26 on x86_64", POSTGRES, "register").expect("too old");
        assert_eq!(old, "the server is postgresql 9.4; register needs 9.5 or newer");
        assert_eq!(refusal("10.5.29-MariaDB", MYSQL, "set"), None);
        assert!(refusal("10.5.29-MariaDB", MYSQL, "queue").expect("too old").contains("10.6"));
        assert!(refusal("5.7.44", MYSQL, "queue").expect("too old").contains("8.0"));
        assert!(refusal("CockroachDB CCL v23.1.11", POSTGRES, "lock").is_some());
    }
}
