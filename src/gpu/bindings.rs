//! The arrays that a kernel binds. From the set that a specialisation uses come the layout of its bind groups, the bind
//! groups, and the shader's declarations.
//!
//! A shader must be given every array that its text refers to, whether or not that line ever runs. So kernels access
//! arrays through functions, such as `read_weights(i)`, that are composed for each specialisation: they do nothing
//! where the array is not bound.

/// An array that a kernel may bind, in the order in which they are numbered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Binding {
    /// The sums and parameters of the window.
    Window,
    Predictions,
    Targets,
    Weights,
    Mask,
    Losses,
    Gradients,
    Hessians,
    /// The sums of each class.
    ClassSums,
    /// The mean of each row.
    RowMeans,
    /// The counts of the accumulators.
    Counts,
}

/// The outputs: loss, gradient, hessian.
pub(crate) const OUTPUTS: [Binding; 3] = [Binding::Losses, Binding::Gradients, Binding::Hessians];

/// How shaders access an array.
enum Access {
    /// Words, by `read_…(i)`: 0 where the array is not bound.
    Input,
    /// Words, by `write_…(i, word)` and `read_…(i)`.
    Output,
    /// By its name, in files that are part of the source only where it is bound.
    ReadWrite(&'static str),
}

impl Binding {
    const ALL: [Self; 11] = [
        Self::Window,
        Self::Predictions,
        Self::Targets,
        Self::Weights,
        Self::Mask,
        Self::Losses,
        Self::Gradients,
        Self::Hessians,
        Self::ClassSums,
        Self::RowMeans,
        Self::Counts,
    ];

    /// The name and the access that shaders have.
    fn describe(self) -> (&'static str, Access) {
        match self {
            Self::Window => ("window", Access::ReadWrite("Window")),
            Self::Predictions => ("predictions", Access::Input),
            Self::Targets => ("targets", Access::Input),
            Self::Weights => ("weights", Access::Input),
            Self::Mask => ("mask", Access::Input),
            Self::Losses => ("losses", Access::Output),
            Self::Gradients => ("gradients", Access::Output),
            Self::Hessians => ("hessians", Access::Output),
            Self::ClassSums => ("class_sums", Access::ReadWrite("array<ClassSum>")),
            Self::RowMeans => ("row_means", Access::ReadWrite("array<u32>")),
            Self::Counts => ("counts", Access::ReadWrite("array<atomic<u32>>")),
        }
    }

    /// Whether shaders only read the array.
    pub(crate) fn is_input(self) -> bool {
        matches!(self.describe().1, Access::Input)
    }

    /// The declaration of the array and of the functions that access it, bound at `index` or not at all.
    fn declaration(self, index: Option<usize>) -> String {
        let (name, access) = self.describe();
        let variable = |mode: &str, ty: &str| match index {
            Some(index) => format!("@group(0) @binding({index}) var<storage, {mode}> {name}: {ty};\n"),
            None => String::new(),
        };
        let read = |word: String| format!("fn read_{name}(i: u32) -> u32 {{ return {word}; }}\n");
        let word = if index.is_some() { format!("{name}[i]") } else { "0u".into() };
        match access {
            Access::ReadWrite(ty) => variable("read_write", ty),
            Access::Input => variable("read", "array<u32>") + &read(word),
            Access::Output => {
                let body = if index.is_some() { format!(" {name}[i] = word; ") } else { " ".into() };
                let write = format!("fn write_{name}(i: u32, word: u32) {{{body}}}\n");
                variable("read_write", "array<u32>") + &read(word) + &write
            }
        }
    }
}

/// A set of arrays.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Bindings(u16);

impl Bindings {
    /// The arrays, in the order in which they are numbered.
    pub(crate) fn iter(self) -> impl Iterator<Item = Binding> {
        Binding::ALL.into_iter().filter(move |binding| self.0 >> *binding as u16 & 1 == 1)
    }

    /// The number of storage buffers that a kernel with these arrays needs.
    pub(crate) fn len(self) -> u32 {
        self.0.count_ones()
    }

    /// The declarations of these arrays, and of the functions that access arrays, these and others.
    pub(crate) fn wgsl(self) -> String {
        let index = |binding| self.iter().position(|bound| bound == binding);
        Binding::ALL.into_iter().map(|binding| binding.declaration(index(binding))).collect()
    }
}

impl FromIterator<Binding> for Bindings {
    fn from_iter<I: IntoIterator<Item = Binding>>(bindings: I) -> Self {
        Self(bindings.into_iter().fold(0, |set, binding| set | 1 << binding as u16))
    }
}
