//! `holdfast schema`

use super::{
    Context,
    failure::{Exit, Failure},
};
use crate::profile;

pub(super) fn run(context: &Context) -> Result<Exit, Failure> {
    context.out.raw(&profile::schema_json())?;
    Ok(Exit::Ok)
}
