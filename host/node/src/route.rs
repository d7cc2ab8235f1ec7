//! Finds the endpoint of a request: one table a listener, which is its table of contents.

use http::Method;

/// What a table says of a method and path.
#[derive(Debug)]
pub enum Found<E> {
    /// The endpoint and the values of the path's `{…}` parts, percent-decoded.
    Endpoint(E, Vec<String>),
    /// The path exists, for these methods only (405).
    WrongMethod(Vec<Method>),
    /// No such path (404).
    Nothing,
}

/// Method and path of a row, as it stands in the table.
pub type Route = (Method, String);

/// Routes of one listener. Paths answer with and without a trailing slash (R2).
pub struct Table<E: Copy> {
    routes: Vec<Route>,
    paths: matchit::Router<Vec<(Method, E)>>,
}

impl<E: Copy> Table<E> {
    /// A table of (method, path, endpoint); paths in `matchit`'s notation.
    ///
    /// # Errors
    /// Two rows that contradict each other: a mistake of the programmer, found at start.
    pub fn new(rows: &[(Method, &str, E)]) -> Result<Table<E>, matchit::InsertError> {
        let mut by_path: Vec<(&str, Vec<(Method, E)>)> = Vec::new();
        for (method, path, endpoint) in rows {
            let path = trim(path);
            match by_path.iter_mut().find(|(p, _)| *p == path) {
                Some((_, methods)) => methods.push((method.clone(), *endpoint)),
                None => by_path.push((path, vec![(method.clone(), *endpoint)])),
            }
        }
        let mut paths = matchit::Router::new();
        for (path, methods) in by_path {
            paths.insert(path, methods)?;
        }
        let routes = rows.iter().map(|(method, path, _)| (method.clone(), (*path).to_owned())).collect();
        Ok(Table { routes, paths })
    }

    /// Every row, in the table's order: what a description of the listener has to describe.
    #[must_use]
    pub fn into_routes(self) -> Vec<Route> {
        self.routes
    }

    /// Looks up a request.
    #[must_use]
    pub fn find(&self, method: &Method, path: &str) -> Found<E> {
        let Ok(hit) = self.paths.at(trim(path)) else { return Found::Nothing };
        let Some((_, endpoint)) = hit.value.iter().find(|(m, _)| m == method) else {
            return Found::WrongMethod(hit.value.iter().map(|(m, _)| m.clone()).collect());
        };
        let values = hit
            .params
            .iter()
            .map(|(_, v)| percent_encoding::percent_decode_str(v).decode_utf8_lossy().into_owned())
            .collect();
        Found::Endpoint(*endpoint, values)
    }
}

fn trim(path: &str) -> &str {
    match path.strip_suffix('/') {
        Some("") | None => path,
        Some(rest) => rest,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed unwrap fails the test")]
    use super::*;

    #[derive(Clone, Copy, PartialEq, Debug)]
    enum E {
        Chat,
        One,
    }

    fn check(method: &Method, path: &str, expected: Option<(E, &[&str])>) {
        let table = Table::new(&[(Method::POST, "/sns/chat/", E::Chat), (Method::GET, "/a/{id}/b", E::One)]).unwrap();
        match (table.find(method, path), expected) {
            (Found::Endpoint(e, v), Some((want, values))) => {
                assert_eq!(e, want);
                assert_eq!(v, values);
            }
            (Found::Nothing | Found::WrongMethod(_), None) => {}
            (got, want) => unreachable!("{method} {path}: {got:?} where {want:?} was due"),
        }
    }

    #[test]
    fn a_path_answers_with_and_without_its_trailing_slash() {
        check(&Method::POST, "/sns/chat/", Some((E::Chat, &[])));
        check(&Method::POST, "/sns/chat", Some((E::Chat, &[])));
        check(&Method::GET, "/sns/chat", None);
        check(&Method::POST, "/sns/chats", None);
        check(&Method::GET, "/a/x%40y%2Fz/b", Some((E::One, &["x@y/z"])));
    }
}
