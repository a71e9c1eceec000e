//! The prompt: reads lines and commands as the DataFusion CLI does.

use std::{env, io::IsTerminal, path::PathBuf};

use datafusion::{config::Dialect, prelude::SessionContext};
use datafusion_cli::{
    command::{Command, OutputFormat},
    helper::CliHelper,
    print_options::PrintOptions,
};
use rustyline::{Editor, error::ReadlineError, history::DefaultHistory};

use super::Session;
use crate::error::{Error, Result};

/// Reads and runs statements until `\q` or the end of the input.
///
/// A statement that fails is reported and the prompt goes on.
///
/// # Errors
/// When the terminal breaks; and, where there is no terminal but a pipe, when a statement failed.
pub(crate) async fn run(session: &mut Session, print: &mut PrintOptions) -> Result<()> {
    let mut editor: Editor<CliHelper, DefaultHistory> = Editor::new()?;
    editor.set_helper(Some(CliHelper::new(&Dialect::Generic, print.color)));
    let is_terminal = std::io::stdin().is_terminal();
    // Only what a person typed is worth to be remembered.
    let history = env::home_dir().filter(|_| is_terminal).map(|home| home.join(".drift_history"));
    if let Some(history) = &history {
        // There is none before the first time.
        let _ = editor.load_history(history);
    }
    let mut failed = 0;
    loop {
        let line = match editor.readline("> ") {
            Ok(line) => line,
            Err(ReadlineError::Interrupted) => continue,
            Err(ReadlineError::Eof) => break,
            Err(e) => return Err(e.into()),
        };
        editor.add_history_entry(line.trim_end())?;
        let outcome = tokio::select! {
            outcome = answer(&line, session, print) => outcome,
            _ = tokio::signal::ctrl_c() => Err(Error::invalid("cancelled")),
        };
        match outcome {
            Ok(Next::Go) => {}
            Ok(Next::Quit) => break,
            Err(e) => {
                failed += 1;
                eprintln!("error: {e}");
            }
        }
    }
    if let Some(history) = &history {
        editor.save_history(history)?;
    }
    if failed > 0 && !is_terminal {
        return Err(Error::invalid(format!("{failed} of the statements failed")));
    }
    Ok(())
}

/// Whether the prompt comes back.
enum Next {
    Go,
    Quit,
}

async fn answer(line: &str, session: &mut Session, print: &mut PrintOptions) -> Result<Next> {
    let Some(command) = line.strip_prefix('\\') else {
        session.run(line, print).await?;
        return Ok(Next::Go);
    };
    let words: Vec<_> = command.split_whitespace().collect();
    let unknown = || Error::invalid(format!("unknown command '\\{command}': \\? shows all commands"));
    match words.join(" ").parse::<Command>().map_err(|()| unknown())? {
        Command::Quit => return Ok(Next::Quit),
        Command::ListTables => session.run("SHOW TABLES", print).await?,
        Command::DescribeTableStmt(name) => session.run(&format!("SHOW COLUMNS FROM {name}"), print).await?,
        Command::Include(Some(file)) => session.run_file(&PathBuf::from(file), print).await?,
        Command::OutputFormat(Some(option)) => {
            option.parse::<OutputFormat>().map_err(|()| unknown())?.execute(print)?;
        }
        Command::OutputFormat(None) => println!("Output format is {:?}.", print.format),
        // Help and the like need no data.
        other => other.execute(&SessionContext::new(), print).await?,
    }
    Ok(Next::Go)
}
