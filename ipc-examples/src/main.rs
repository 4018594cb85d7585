//! The command line.
#![forbid(unsafe_code)]

use std::error::Error;
use std::fmt::Write as _;
use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::thread::available_parallelism;
use std::time::{Duration, Instant};

use clap::{Args, Parser, Subcommand};
use ipc_examples::runner;
use ipc_examples::scenarios::{self, SCENARIOS, Scenario};
use ipc_examples::tour;
use ipc_examples::wordcount::{self, Count, Job, Problem, Report};

/// Small programs that show the ipc crates at work. Without a command: a short tour.
#[derive(Parser)]
#[command(name = "ipc-examples", version)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Subcommand)]
enum Command {
    /// Print the ids of the scenarios.
    List,
    /// Run scenarios, each in a process of its own, and check their outcomes.
    Run(Run),
    /// Count the words of all text files under a directory, in several processes.
    Wordcount(Wordcount),
}

#[derive(Args)]
struct Run {
    /// Which ones; `all` for all of them.
    #[arg(required = true, value_name = "ID")]
    ids: Vec<String>,
    /// How long one may take.
    #[arg(long, value_name = "SECONDS", default_value_t = runner::DEADLINE.as_secs(), value_parser = clap::value_parser!(u64).range(1..=86_400))]
    deadline: u64,
}

#[derive(Args)]
struct Wordcount {
    /// A directory or a file. Without it: some short texts that are part of the program.
    path: Option<PathBuf>,
    /// How many processes count. Default: as many as there are CPUs for this one.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1000))]
    workers: Option<u16>,
    /// Kill so many of them with SIGKILL meanwhile.
    #[arg(long, value_name = "K", default_value_t = 0)]
    chaos: u16,
    /// Count once more without workers, and compare.
    #[arg(long)]
    check: bool,
    /// How many words to print.
    #[arg(long, value_name = "N", default_value_t = 10)]
    top: usize,
}

fn main() -> ExitCode {
    let mut out = io::stdout().lock();
    let done = match Cli::parse().command {
        None => show_tour(&mut out),
        Some(Command::List) => list(&mut out),
        Some(Command::Run(run)) => self::run(&run, &mut out),
        Some(Command::Wordcount(command)) => wordcount(&command, &mut out),
    };
    match done.and_then(|good| out.flush().map(|()| good).map_err(Into::into)) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        // Whoever reads has seen enough.
        Err(error) if is_broken_pipe(&*error) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::from(2)
        }
    }
}

/// Whether all is well; an error if the command could not be carried out.
type Done = Result<bool, Box<dyn Error>>;

fn is_broken_pipe(error: &(dyn Error + 'static)) -> bool {
    error.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
}

fn list(out: &mut dyn Write) -> Done {
    for scenario in SCENARIOS {
        writeln!(out, "{:<24} {}", scenario.id, scenario.about)?;
    }
    Ok(true)
}

fn run(run: &Run, out: &mut dyn Write) -> Done {
    let mut chosen: Vec<&'static Scenario> = Vec::new();
    for id in &run.ids {
        match scenarios::find(id) {
            Some(scenario) => chosen.push(scenario),
            None if id == "all" => chosen.extend(SCENARIOS),
            None => return Err(format!("there is no scenario `{id}`; `ipc-examples list` prints all").into()),
        }
    }
    Ok(runner::run_all(&chosen, Duration::from_secs(run.deadline), out)?)
}

fn show_tour(out: &mut dyn Write) -> Done {
    tour::show(out)?;
    writeln!(
        out,
        "\nThe main job: several processes count the words of some texts, while some of them are killed."
    )?;
    wordcount(&Wordcount { path: None, workers: Some(2), chaos: 3, check: true, top: 8 }, out)
}

/// So many bytes take longer to count than a process to start.
const WORTHWHILE: u64 = 1_000_000;

fn wordcount(command: &Wordcount, out: &mut dyn Write) -> Done {
    let workers = command.workers.map_or_else(|| available_parallelism().map_or(1, usize::from), usize::from);
    let start = Instant::now();
    let mut job = Job::new(command.path.as_deref(), workers);
    (job.chaos, job.progress) = (command.chaos.into(), true);
    let (count, report) = job.run()?;
    let took = start.elapsed();

    for (word, number) in count.top(command.top) {
        writeln!(out, "{:>15}  {word}", with_commas(*number))?;
    }
    writeln!(
        out,
        "{} words, {} different, in {} files",
        with_commas(count.total()),
        with_commas(count.words.len() as u64),
        with_commas(count.files)
    )?;
    let plural = if workers == 1 { "" } else { "s" };
    writeln!(
        out,
        "{workers} worker{plural}, {} parts: {}",
        with_commas(report.parts),
        speed(count.bytes, took)
    )?;
    print_report(&report, command.chaos, out)?;
    print_problems(&count.problems, out)?;
    if !command.check {
        return Ok(true);
    }

    let start = Instant::now();
    let serial = wordcount::count_serially(&wordcount::list(command.path.as_deref())?);
    let serially = start.elapsed();
    let ratio = serially.as_secs_f64() / took.as_secs_f64();
    let comparison = if serial.bytes < WORTHWHILE {
        "so little text is not worth a process".to_owned()
    } else {
        format!("{ratio:.2} times as long")
    };
    writeln!(out, "no worker: {}; {comparison}", speed(serial.bytes, serially))?;
    let equal = serial == count;
    let verdict = if equal { "equal to" } else { "DIFFERENT FROM" };
    writeln!(out, "check: {verdict} the serial count{}", difference(&count, &serial))?;
    Ok(equal)
}

/// What the workers did, and what befell them.
fn print_report(report: &Report, chaos: u16, out: &mut dyn Write) -> io::Result<()> {
    if chaos > 0 {
        let (killed, restarts) = (report.killed, report.insights.restarts);
        writeln!(out, "chaos: {killed} workers were killed, {restarts} took their place")?;
    }
    for worker in &report.insights.workers {
        writeln!(
            out,
            "    {} (pid {}): {} parts, ready after {:.1?}, busy for {:.1?}, idle for {:.1?}",
            worker.name,
            worker.pid,
            worker.tasks,
            worker.start_time.unwrap_or_default(),
            worker.busy,
            worker.waiting
        )?;
    }
    for error in &report.failures {
        eprintln!("{error}; this process has counted that part");
    }
    Ok(())
}

/// The first few of each kind.
fn print_problems(problems: &[Problem], out: &mut dyn Write) -> io::Result<()> {
    const SHOWN: usize = 3;
    let mut headings: Vec<&str> = problems.iter().map(|problem| problem.what.heading()).collect();
    headings.sort_unstable();
    headings.dedup();
    for heading in headings {
        let of_kind = || problems.iter().filter(|problem| problem.what.heading() == heading);
        let number = of_kind().count();
        writeln!(out, "{}: {heading}", with_commas(number as u64))?;
        of_kind().take(SHOWN).try_for_each(|problem| writeln!(out, "    {problem}"))?;
        if number > SHOWN {
            writeln!(out, "    ... and {} more", with_commas((number - SHOWN) as u64))?;
        }
    }
    Ok(())
}

/// In what the counts differ first.
fn difference(ours: &Count, serial: &Count) -> String {
    let mut text = String::new();
    if (ours.files, ours.bytes) != (serial.files, serial.bytes) {
        let _ = write!(text, ": {} files and {} bytes, not", ours.files, ours.bytes);
        let _ = write!(text, " {} and {}", serial.files, serial.bytes);
    } else if let Some((ours, serial)) = ours.words.iter().zip(&serial.words).find(|(a, b)| a != b) {
        let _ = write!(text, ": {} x `{}`, not {} x `{}`", ours.1, ours.0, serial.1, serial.0);
    } else if ours.words.len() != serial.words.len() {
        let _ = write!(text, ": {} different words, not {}", ours.words.len(), serial.words.len());
    } else if ours.problems != serial.problems {
        let _ = write!(text, ": other files could not be read");
    }
    text
}

fn speed(bytes: u64, took: Duration) -> String {
    if bytes < WORTHWHILE {
        return format!("{} bytes in {took:.2?}", with_commas(bytes));
    }
    let megabytes = bytes as f64 / 1e6;
    format!("{megabytes:.1} MB in {took:.2?}, {:.0} MB/s", megabytes / took.as_secs_f64())
}

fn with_commas(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}
