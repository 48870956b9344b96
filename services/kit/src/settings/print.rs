//! `--print-config`: the effective configuration as a file that could be loaded again, secrets redacted.

use std::fmt::Write as _;

use super::{Place, Settings};

const REDACTED: &str = "<redacted>";

/// Parts of key names inside structured keys whose values are not shown.
const SENSITIVE: [&str; 5] = ["secret", "token", "password", "api_key", "api-key"];

impl Settings {
    /// The effective configuration: one `name = "value"  # from environment` per line, unset names as comments, then
    /// the structured keys of the file. Valid TOML.
    pub fn print(&self) -> String {
        let mut text = String::new();
        for setting in &self.declared {
            let line = match self.values.get(setting.name) {
                Some(value) => {
                    let shown = if setting.secret {
                        REDACTED
                    } else {
                        &value.text
                    };
                    let shown = toml::Value::String(single_line(shown));
                    format!(
                        "{} = {shown}  # from {}",
                        setting.key(),
                        origin(&value.place)
                    )
                }
                None => format!("# {} is not set", setting.key()),
            };
            text.push_str(&line);
            text.push('\n');
        }
        let mut tables = self.tables.clone();
        tables
            .iter_mut()
            .for_each(|(key, value)| redact(key, value));
        // A table that came out of the parser can be written again; if not, the scalars are still worth showing.
        if let Ok(tables) = toml::to_string(&tables)
            && !tables.is_empty()
        {
            let _ = write!(text, "\n{tables}");
        }
        text
    }
}

fn origin(place: &Place) -> String {
    match place {
        Place::Flag(_) => "flag".to_owned(),
        Place::Environment(name) if name.ends_with("_FILE") => format!("environment {name}"),
        Place::Environment(_) => "environment".to_owned(),
        // A comment ends at the line's end, whatever is in the path.
        Place::File(path, _) => format!("file {}", single_line(&path.display().to_string())),
        Place::Default => "default".to_owned(),
    }
}

/// One setting is one line, for people who grep.
fn single_line(text: &str) -> String {
    text.replace(|c: char| c.is_control(), " ")
}

fn redact(key: &str, value: &mut toml::Value) {
    let key = key.to_ascii_lowercase();
    if SENSITIVE.iter().any(|part| key.contains(part)) {
        *value = toml::Value::String(REDACTED.to_owned());
        return;
    }
    match value {
        toml::Value::Table(table) => table.iter_mut().for_each(|(key, value)| redact(key, value)),
        toml::Value::Array(items) => items.iter_mut().for_each(|item| redact("", item)),
        _ => {}
    }
}
