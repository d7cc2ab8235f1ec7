pub(crate) fn test() -> crate::shell::Outcome {
    Ok(())
}
pub(crate) fn bench(_: &[String]) -> crate::shell::Outcome {
    Ok(())
}
