//! The template in deploy/: what it must say for the function's answers to count and for nothing to be lost unseen.

use clap::CommandFactory as _;
use kinesis_forwarder::cli::Cli;

const TEMPLATE: &str = include_str!("../../../deploy/template.yaml");
const CONTAINERFILE: &str = include_str!("../../../deploy/Containerfile");

/// The lines of a top-level section's member, with its name and without comments.
fn member(section: &str, name: &str) -> Vec<&'static str> {
    let lines = TEMPLATE.lines().filter(|line| !line.trim_start().starts_with('#') && !line.is_empty());
    let of_section = lines.skip_while(|line| *line != format!("{section}:")).skip(1);
    let of_section = of_section.take_while(|line| line.starts_with(' '));
    let from = of_section.skip_while(|line| *line != format!("  {name}:"));
    let (first, rest): (Vec<_>, Vec<_>) = from.enumerate().partition(|(n, _)| *n == 0);
    assert_eq!(first.len(), 1, "{section} has no {name}");
    rest.into_iter().map(|(_, line)| line).take_while(|line| line.starts_with("    ")).map(str::trim).collect()
}

/// Whether all of these lines are there.
fn has(lines: &[&str], wanted: &[&str]) {
    for wanted in wanted {
        assert!(lines.contains(wanted), "there is no {wanted:?} in {lines:#?}");
    }
}

#[test]
fn the_trigger_listens_to_the_answers_and_reports_what_it_gives_up() {
    has(
        &member("Resources", "Trigger"),
        &[
            "Type: AWS::Lambda::EventSourceMapping",
            "EventSourceArn: !Ref StreamArn",
            "StartingPosition: !Ref StartingPosition",
            "FunctionResponseTypes: [ReportBatchItemFailures]",
            "BisectBatchOnFunctionError: true",
            "MaximumRetryAttempts: !Ref MaximumRetryAttempts",
            "MaximumRecordAgeInSeconds: !Ref MaximumRecordAgeInSeconds",
            "Destination: !GetAtt Failures.Arn",
        ],
    );
    has(&member("Resources", "Failures"), &["Type: AWS::SQS::Queue"]);
    has(&member("Parameters", "StartingPosition"), &["Default: LATEST"]);
    has(&member("Parameters", "Targets"), &["NoEcho: true"]);
    has(&member("Parameters", "StreamArn"), &["Type: String"]);
}

#[test]
fn the_function_is_the_program_and_its_variables_are_those_of_the_command_line() {
    let function = member("Resources", "Function");
    has(&function, &["Runtime: provided.al2023", "Architectures: [!Ref Architecture]", "Code: build"]);
    let mut program = Cli::command();
    let help = program.find_subcommand_mut("lambda").unwrap().render_long_help().to_string();
    let variables = function.iter().filter_map(|line| line.strip_prefix("KINESIS_FORWARDER_"));
    let names: Vec<&str> = variables.filter_map(|line| line.split(':').next()).collect();
    assert_eq!(names, ["TO", "ON_REJECT", "PARALLEL", "FROM_JSON_FIELD"]);
    for name in names {
        assert!(help.contains(&format!("KINESIS_FORWARDER_{name}")), "{name}: {help}");
    }
}

#[test]
fn the_role_may_do_what_is_needed_and_nothing_to_other_streams() {
    let role = member("Resources", "Role");
    has(
        &role,
        &["- kinesis:GetRecords", "- kinesis:GetShardIterator", "Action: sqs:SendMessage", "Resource: !Ref StreamArn"],
    );
    let everywhere: Vec<_> = role.windows(2).filter(|pair| pair[1] == "Resource: \"*\"").map(|pair| pair[0]).collect();
    assert_eq!(everywhere, ["Action: kinesis:ListStreams"]);
}

#[test]
fn the_container_runs_the_program_without_rights() {
    let lines: Vec<&str> = CONTAINERFILE.lines().collect();
    has(
        &lines,
        &["FROM scratch AS bootstrap", "USER 65532:65532", "ENTRYPOINT [\"/usr/local/bin/kinesis-forwarder\"]"],
    );
    let version = concat!("--default-toolchain ", env!("CARGO_PKG_RUST_VERSION"));
    assert!(CONTAINERFILE.contains(version), "the Containerfile builds with another Rust than {version}");
}
