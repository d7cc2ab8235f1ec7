//! Files: uploads in steps, downloads in ranges, so that neither side holds a whole one.

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, header};
use serde_json::{Value, json};

use super::{Api, ClientError, accepted};

/// A file to be uploaded.
#[derive(Debug, Clone)]
pub struct Upload<'a> {
    /// `image`, `voice`, `file`, `portrait` or `icon`.
    pub kind: &'a str,
    /// For people.
    pub name: &'a str,
    /// Bytes.
    pub size: u64,
    /// 32 hexadecimal digits, if known.
    pub md5: Option<&'a str>,
}

impl Api {
    /// Announces a file; answers its mediaID.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn begin_upload(&self, upload: &Upload<'_>) -> Result<String, ClientError> {
        let mut body = json!({"type": upload.kind, "name": upload.name, "size": upload.size});
        if let Some(md5) = upload.md5 {
            body["md5"] = md5.into();
        }
        let answer = self.post("/client/v1/media", &body).await?;
        let id = answer["mediaID"].as_str();
        id.map(str::to_owned).ok_or_else(|| ClientError::Answer("no mediaID in the answer".to_owned()))
    }

    /// Sends bytes of an upload from `offset` on; answers where it stands.
    ///
    /// # Errors
    /// [`ClientError`]; after one that broke off, `GET …/status` says where to go on.
    pub async fn write_upload(&self, id: &str, offset: u64, bytes: Bytes) -> Result<Value, ClientError> {
        let path = format!("/client/v1/media/{id}?offset={offset}");
        let (head, body) = self.exchange(Method::PATCH, &path, HeaderMap::new(), bytes).await?.into_parts();
        let status = head.status.as_u16();
        let value = serde_json::from_slice(&body);
        accepted((status, value.map_err(|_| ClientError::Answer(format!("HTTP {status} without JSON")))?))
    }

    /// Uploads a whole file in steps; `content` answers the bytes from an offset on, at most so many. Answers the mediaID.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn upload(
        &self,
        upload: &Upload<'_>,
        step: usize,
        mut content: impl FnMut(u64, usize) -> Bytes,
    ) -> Result<String, ClientError> {
        let id = self.begin_upload(upload).await?;
        let mut offset = 0;
        loop {
            let bytes = content(offset, step);
            offset += bytes.len() as u64;
            let at = offset - bytes.len() as u64;
            self.write_upload(&id, at, bytes).await?;
            if offset >= upload.size {
                return Ok(id);
            }
        }
    }

    /// The bytes of a file from `offset` on, at most `len`; none beyond its end.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn download(&self, id: &str, offset: u64, len: u64) -> Result<Bytes, ClientError> {
        let range = format!("bytes={offset}-{}", offset + len.max(1) - 1);
        let range = HeaderValue::from_str(&range).map_err(|e| ClientError::Answer(e.to_string()))?;
        let headers = HeaderMap::from_iter([(header::RANGE, range)]);
        let (head, body) =
            self.exchange(Method::GET, &format!("/client/v1/media/{id}"), headers, Bytes::new()).await?.into_parts();
        match head.status.as_u16() {
            200 | 206 => Ok(body),
            416 => Ok(Bytes::new()),
            status => {
                let value = serde_json::from_slice(&body).unwrap_or_default();
                accepted((status, value)).and(Err(ClientError::Answer(format!("HTTP {status} without a file"))))
            }
        }
    }
}
