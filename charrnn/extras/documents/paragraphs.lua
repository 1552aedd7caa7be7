-- Write a document as the plain text that a word processor saves: a line for each paragraph.

function Writer (document)
  local lines = pandoc.List()
  document:walk {
    Image = function () return {} end,
    LineBreak = function () return pandoc.Str("\n") end
  }:walk {
    traverse = "topdown",
    Block = function (block)
      if block.t == "CodeBlock" then
        lines:insert(block.text)
      elseif block.t == "Para" or block.t == "Plain" or block.t == "Header" then
        lines:insert(pandoc.utils.stringify(block))
      end
    end
  }
  return table.concat(lines, "\n") .. "\n"
end
