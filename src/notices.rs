//! What the business is told: one body per event, the same for webhooks and for the event stream.

use kaibo_broadcast::{Millis, Notice};
use kaibo_store::NewNotice;
use serde_json::{Value, json};

use crate::{access::rfc3339, broadcasts::Status, server::Server};

/// The event that `notice` means for the broadcast that is in `status` now.
pub fn event(server: &Server, notice: &Notice, status: &Status, now: Millis) -> NewNotice {
    let id = format!("evt_{}", uuid::Uuid::now_v7().simple());
    let mut data = json!({ "broadcast": status.to_api(&server.public_addresses(), now) });
    if let (Some(data), Value::Object(more)) = (data.as_object_mut(), details(notice)) {
        data.extend(more);
    }
    let body = json!({ "type": notice.name(), "id": id, "timestamp": rfc3339(now), "data": data });
    NewNotice {
        id,
        broadcast: Some(status.id.clone()),
        kind: notice.name().to_string(),
        at: now,
        body: body.to_string(),
        endpoints: Vec::new(),
    }
}

/// What an event says beside the broadcast.
fn details(notice: &Notice) -> Value {
    match notice {
        Notice::PushUp { epoch } => json!({ "epoch": epoch.0 }),
        Notice::PushDown { epoch, cause } => {
            json!({ "epoch": epoch.0, "code": cause.code().to_string(), "reason": cause.to_string() })
        }
        Notice::PushRejected { refusal } => {
            json!({ "code": refusal.code().to_string(), "reason": refusal.to_string() })
        }
        Notice::Interrupted { deadline } => json!({ "resume_deadline": rfc3339(*deadline) }),
        Notice::Resumed { gap } => json!({ "gap_ms": u64::try_from(gap.as_millis()).unwrap_or(u64::MAX) }),
        Notice::DurationWarning { left } => json!({ "left_s": left.as_secs() }),
        Notice::Ended { reason } => json!({ "reason": reason.name() }),
        Notice::Created | Notice::Started | Notice::Paused | Notice::Banned | Notice::Expired => json!({}),
    }
}
