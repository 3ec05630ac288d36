use bytes::Bytes;
use proto::SessionFrame;
use proto::session_frame::Frame;
use tokio::sync::mpsc;

use super::first_word;
use crate::api::sessions::Session;

/// A session whose node says this and then nothing for as long as the sender lives.
fn session(frame: Option<Frame>) -> (Session, mpsc::Sender<SessionFrame>) {
    let (to_node, _) = mpsc::channel(1);
    let (says, from_node) = mpsc::channel(1);
    if let Some(frame) = frame {
        says.try_send(SessionFrame { frame: Some(frame) }).expect("there is room");
    }
    (Session { to_node, from_node }, says)
}

#[tokio::test]
async fn a_log_that_is_refused_is_refused_as_such_also_when_it_is_followed() {
    let refused = proto::SessionError { code: 400, message: "no log yet".into() };
    let (mut session, _open) = session(Some(Frame::Error(refused)));
    let refusal = first_word(&mut session, true).await.expect_err("it is refused");
    assert_eq!((refusal.code(), refusal.message.as_str()), (400, "no log yet"));
}

#[tokio::test]
async fn a_log_that_is_followed_and_says_nothing_is_answered_nevertheless() {
    let (mut session, _open) = session(None);
    assert_eq!(first_word(&mut session, true).await, Ok((None, false)));
}

#[tokio::test]
async fn an_empty_first_word_says_that_the_log_is_there() {
    let (mut session, _open) = session(Some(Frame::Stdout(Bytes::new())));
    assert_eq!(first_word(&mut session, true).await, Ok((Some(Bytes::new()), false)));
}

#[tokio::test]
async fn a_log_that_is_over_before_it_said_anything_is_empty() {
    let (mut session, open) = session(None);
    drop(open);
    assert_eq!(first_word(&mut session, false).await, Ok((None, true)));
}
