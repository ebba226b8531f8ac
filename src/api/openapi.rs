//! `/openapi.json`: what the API takes and answers, made from the handlers themselves.

use axum::{
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use utoipa::{
    Modify, OpenApi,
    openapi::{
        Content, OpenApi as Document, RefOr, Required,
        path::{Operation, Parameter, ParameterIn},
        response::ResponseBuilder,
        schema::{ObjectBuilder, Ref, Schema, Type},
        security::{HttpAuthScheme, HttpBuilder, SecurityScheme},
    },
};

use super::{
    audience, broadcasts, clips, deliveries, events, preview, push_urls, recorded, snapshots, streams, timed,
    versions,
};
use crate::problem;

/// The whole API.
#[derive(OpenApi)]
#[openapi(
    info(
        title = "Kaibo control API",
        description = "Tokens have scopes: GET needs `read`, POST and PATCH need `control`, PUT and DELETE need `admin`. \
                       Every error is a problem document (RFC 9457) with a stable `code`. Times are RFC 3339, in UTC.",
    ),
    paths(
        broadcasts::list, broadcasts::create, broadcasts::one, broadcasts::change, broadcasts::delete,
        audience::of,
        broadcasts::start, broadcasts::stop, broadcasts::pause, broadcasts::resume,
        preview::mint, timed::list, timed::tell, recorded::show,
        clips::create, clips::start, clips::stop, clips::list, clips::list_of_broadcast, clips::one, clips::change,
        clips::delete,
        versions::create, versions::list, versions::one, versions::change, versions::delete,
        streams::list, streams::one, streams::kick, streams::ban, streams::lift_ban,
        snapshots::newest, snapshots::take,
        push_urls::mint, events::listen, deliveries::list, deliveries::retry,
    ),
    components(schemas(problem::Document)),
    modifiers(&Common),
    security(("token" = [])),
)]
struct Api;

/// What all calls have in common.
struct Common;

/// What any call may be answered.
const ALWAYS: [(&str, &str); 3] = [
    ("401", "`unauthorized`: a bearer token of this server is needed"),
    ("403", "`scope`: the token is not good for this"),
    ("503", "`store`: the disk fails; try again"),
];

/// What a call with a body may be answered.
const BODY: [(&str, &str); 3] = [
    ("400", "`malformed`: the body is no JSON"),
    ("413", "`too_large`: the body has more than 64 KiB"),
    ("415", "`malformed`: the content type is not JSON"),
];

const INVALID: (&str, &str) =
    ("422", "`invalid`: a field or parameter is unknown, missing or senseless; `detail` says which");

const IDEMPOTENCY: &str = "`idempotency_conflict`: another request came with this key; `idempotency_running`: the \
                           first one is not answered yet";

/// What names may be made of (`kaibo_broadcast::NameError` tells the same).
const NAME: &str = "^[A-Za-z0-9_-]{1,128}$";

/// Fields and parameters whose text has a form; any other text is `invalid`.
const FORMS: [(&str, &str); 4] =
    [("app", NAME), ("stream", NAME), ("broadcast", NAME), ("cursor", "^[0-9]{1,19}$")];

impl Modify for Common {
    fn modify(&self, api: &mut Document) {
        let scheme = SecurityScheme::Http(HttpBuilder::new().scheme(HttpAuthScheme::Bearer).build());
        let components = api.components.get_or_insert_default();
        components.security_schemes.insert("token".into(), RefOr::T(scheme));
        for schema in components.schemas.values_mut() {
            if let RefOr::T(Schema::Object(object)) = schema {
                object.properties.iter_mut().for_each(|(name, property)| shape(name, property));
            }
        }
        for path in api.paths.paths.values_mut() {
            for (is_post, operation) in [
                (false, &mut path.get),
                (true, &mut path.post),
                (false, &mut path.put),
                (false, &mut path.patch),
                (false, &mut path.delete),
            ] {
                if let Some(operation) = operation {
                    describe(operation, is_post);
                }
            }
        }
    }
}

fn shape(name: &str, schema: &mut RefOr<Schema>) {
    let form = FORMS.iter().find(|(known, _)| *known == name);
    if let (Some((_, form)), RefOr::T(Schema::Object(text))) = (form, schema) {
        text.pattern = Some((*form).into());
    }
}

fn describe(operation: &mut Operation, is_post: bool) {
    for parameter in operation.parameters.iter_mut().flatten() {
        if let RefOr::T(Parameter { name, schema: Some(schema), .. }) = parameter {
            shape(name, schema);
        }
    }
    let mut errors = Vec::from(ALWAYS);
    if operation.request_body.is_some() {
        errors.extend(BODY);
    }
    if operation.request_body.is_some() || operation.parameters.is_some() {
        errors.push(INVALID);
    }
    let responses = &mut operation.responses.responses;
    for (status, description) in errors {
        let response = ResponseBuilder::new().description(description).build();
        responses.entry(status.into()).or_insert(RefOr::T(response));
    }
    if is_post {
        let key = Parameter::builder()
            .name("Idempotency-Key")
            .parameter_in(ParameterIn::Header)
            .required(Required::False)
            .description(Some("A request that is repeated with it within 24 hours is carried out once."))
            .schema(Some(ObjectBuilder::new().schema_type(Type::String).pattern(Some("^[!-~]{1,255}$"))))
            .build();
        operation.parameters.get_or_insert_default().push(RefOr::T(key));
        let response = ResponseBuilder::new().build();
        if let RefOr::T(response) = responses.entry("409".into()).or_insert(RefOr::T(response)) {
            let own = std::mem::take(&mut response.description);
            response.description =
                if own.is_empty() { IDEMPOTENCY.into() } else { format!("{own}; {IDEMPOTENCY}") };
        }
    }
    for (status, response) in responses.iter_mut() {
        let RefOr::T(response) = response else { continue };
        if response.description.is_empty() {
            let reason = status.parse::<StatusCode>().ok().and_then(|status| status.canonical_reason());
            response.description = reason.unwrap_or_default().into();
        }
        if status.starts_with(['4', '5']) {
            let problem = Content::new(Some(Ref::from_schema_name("Problem")));
            response.content.insert("application/problem+json".into(), RefOr::T(problem));
        }
    }
}

/// The document.
pub async fn document() -> Response {
    ([(header::CONTENT_TYPE, "application/json")], text()).into_response()
}

fn text() -> String {
    // Maps of strings always have a JSON form.
    Api::openapi().to_pretty_json().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is promised changes only on purpose: `UPDATE_GOLDEN=1` writes the file anew.
    #[test]
    fn the_api_is_the_one_that_was_published() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/openapi.json");
        let made = text() + "\n";
        if std::env::var_os("UPDATE_GOLDEN").is_some() {
            std::fs::write(path, &made).unwrap();
        }
        let published = std::fs::read_to_string(path).unwrap();
        assert_eq!(made, published, "see UPDATE_GOLDEN in this test");
    }
}
