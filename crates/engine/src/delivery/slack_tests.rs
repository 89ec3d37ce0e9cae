use scaivault_core::identity::Identity;
use scaivault_core::ids::{EventId, TenantId};
use scaivault_core::path::SecretPath;
use scaivault_core::time::Timestamp;

use super::*;

fn event(kind: EventType, path: Option<&str>, data: Value) -> Event {
    Event {
        id: EventId::parse("evt_1").unwrap(),
        event_type: kind,
        at: Timestamp::from_secs(1_800_000_000),
        tenant: TenantId::parse("tnt_a").unwrap(),
        identity: Identity::parse("user:alice").unwrap(),
        path: path.map(|path| SecretPath::parse(path).unwrap()),
        data,
        request_id: None,
        subject: None,
        rotation_id: None,
        also_to: Vec::new(),
    }
}

fn rendered(event: &Event) -> Value {
    serde_json::from_slice(&body(event)).unwrap()
}

fn campaign(failed: usize, reason: &str) -> Event {
    let items: Vec<Value> = (0..failed)
        .map(|n| json!({"path": format!("app/{n}"), "rotation_id": null, "reason": reason, "seconds": null}))
        .collect();
    let data = json!({
        "campaign_id": "cmp_1", "cause": "identity", "subject": "sa:reports", "note": "it <leaked> & more",
        "requested_by": "user:alice", "ended_by": null, "started_at": "a", "finished_at": "b",
        "seconds": 3_725, "total": failed + 2, "rotated": 1, "failed": failed, "skipped": 1,
        "failed_items": items,
        "rotated_items": [{"path": "db/a", "rotation_id": "rtn_1", "reason": null, "seconds": 61}],
        "skipped_items": [{"path": "db/b", "rotation_id": null, "reason": "left out", "seconds": null}],
    });
    event(EventType::CampaignCompleted, None, data)
}

#[test]
fn the_summary_of_a_run() {
    let expect = json!({
        "text": "Failed: 1 rotated, 1 failed, 1 skipped",
        "blocks": [
            {"type": "header", "text": {"type": "plain_text", "text": "Failed: 1 rotated, 1 failed, 1 skipped"}},
            {"type": "section", "fields": [
                {"type": "mrkdwn", "text": "*campaign*\ncmp_1"},
                {"type": "mrkdwn", "text": "*about*\nidentity sa:reports"},
                {"type": "mrkdwn", "text": "*took*\n1h 2m"},
                {"type": "mrkdwn", "text": "*requested by*\nuser:alice"},
                {"type": "mrkdwn", "text": "*note*\nit &lt;leaked&gt; &amp; more"},
            ]},
            {"type": "section", "text": {"type": "mrkdwn", "text": "*Failed (1)*\n• app/0 – no <policy>".replace('<', "&lt;").replace('>', "&gt;")}},
            {"type": "section", "text": {"type": "mrkdwn", "text": "*Rotated (1)*\n• db/a – 1m 1s"}},
            {"type": "section", "text": {"type": "mrkdwn", "text": "*Skipped (1)*\n• db/b – left out"}},
            {"type": "context", "elements": [{"type": "mrkdwn", "text": "2027-01-15T08:00:00Z · evt_1"}]},
        ],
    });
    assert_eq!(rendered(&campaign(1, "no <policy>")), expect);
    let good = rendered(&campaign(0, ""));
    assert_eq!(good["text"], "Completed: 1 rotated, 0 failed, 1 skipped");
}

#[test]
fn any_other_event() {
    let data = json!({"error": "overdue", "current_version": 3, "request": null});
    let expect = json!({
        "text": "rotation.failed: db/orders",
        "blocks": [
            {"type": "header", "text": {"type": "plain_text", "text": "rotation.failed"}},
            {"type": "section", "fields": [
                {"type": "mrkdwn", "text": "*path*\ndb/orders"},
                {"type": "mrkdwn", "text": "*by*\nuser:alice"},
                {"type": "mrkdwn", "text": "*current_version*\n3"},
                {"type": "mrkdwn", "text": "*error*\noverdue"},
            ]},
            {"type": "context", "elements": [{"type": "mrkdwn", "text": "2027-01-15T08:00:00Z · evt_1"}]},
        ],
    });
    let found = rendered(&event(EventType::RotationFailed, Some("db/orders"), data));
    assert_eq!(found, expect);
}

#[test]
fn nothing_is_longer_than_slack_takes() {
    let many: serde_json::Map<String, Value> = (0..40)
        .map(|n| (format!("f{n:02}"), "<".repeat(5_000).into()))
        .collect();
    let events = [
        campaign(100, &"&".repeat(4_000)),
        event(EventType::RotationFailed, Some("a/b"), Value::Object(many)),
    ];
    for event in events {
        let body = rendered(&event);
        let blocks = body["blocks"].as_array().unwrap();
        assert!(blocks.len() <= BLOCKS_MAX);
        for block in blocks {
            if let Some(text) = block["text"]["text"].as_str() {
                assert!(text.chars().count() <= TEXT_MAX);
            }
            for field in block["fields"].as_array().into_iter().flatten() {
                assert!(field["text"].as_str().unwrap().chars().count() <= FIELD_MAX);
            }
            assert!(
                block["fields"]
                    .as_array()
                    .is_none_or(|all| all.len() <= FIELDS_MAX)
            );
        }
    }
    let text = rendered(&campaign(100, "why"))["blocks"][2]["text"]["text"].to_string();
    assert!(text.contains("app/99"), "{text}");
    let long = rendered(&campaign(100, &"x".repeat(500)))["blocks"][2]["text"]["text"].to_string();
    assert!(long.contains("… and 9"), "{long}");
}

#[test]
fn a_cut_does_not_leave_half_a_sign() {
    assert_eq!(escaped("ab<c", 20), "ab&lt;c");
    assert_eq!(escaped("ab<c", 5), "ab…");
    assert_eq!(escaped("", 5), "");
}
